"""Text towers: one way to ask CLIP's and OpenCLIP's text encoders, ours or a host's, for what the UNet listens to."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from lib_sdtune.ldm import openclip, text
from lib_sdtune.ldm.fused import projections


class Tower:
    """One text encoder and how a family reads it.

    from_last: which layer's answer is read, 1 the last, 2 the last but one. normalised: whether the final norm goes
    over it. pooled: whether the last layer's answer at the end token, projected, is wanted too. pad: the id after the
    end token, or None where the tokenizer's own stays.
    """

    def __init__(
        self,
        module: nn.Module,
        from_last: int = 1,
        normalised: bool = True,
        pooled: bool = False,
        pad: int | None = None,
    ) -> None:
        self.module: Any = module  # walked by names, whatever its class
        self.normalised, self.pooled, self.pad = normalised, pooled, pad
        self.depth = max(len(self.blocks) - from_last + 1, 1)  # layers whose answer is read

    @property
    def token_embedding(self) -> nn.Embedding:
        raise NotImplementedError

    @property
    def blocks(self) -> nn.ModuleList:
        """The layers, the first in front."""
        raise NotImplementedError

    @property
    def norm(self) -> nn.Module:
        """What goes over the last layer's answer."""
        raise NotImplementedError

    @property
    def width(self) -> int:
        return self.token_embedding.weight.shape[1]

    def encode(self, ids: torch.Tensor, embed: torch.Tensor, end: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(states (B, n, width), pooled (B, projection) or None) of token ids (B, n) and their embeddings (B, n,
        width).
        """
        states = self.states(embed, None if self.pooled else self.depth)
        context = self.norm(states[self.depth]) if self.normalised else states[self.depth]
        return context, self.pool(states[-1], ids, end) if self.pooled else None

    def states(self, embed: torch.Tensor, layers: int | None) -> list[torch.Tensor]:
        """The embeddings with their positions, then the answer of each of so many layers."""
        raise NotImplementedError

    def pool(self, last: torch.Tensor, ids: torch.Tensor, end: int) -> torch.Tensor:
        """(B, projection): the last layer's answer at the first end token, which is the one that closes the text."""
        place = (ids == end).int().argmax(dim=1)
        rows = torch.arange(len(ids), device=ids.device)
        return self.norm(last)[rows, place] @ self.projection.to(last.dtype)

    @property
    def projection(self) -> torch.Tensor:
        """(width, projection): from the last layer's answer to the pooled one."""
        return self.module.text_projection

    def layers(self) -> Iterator[tuple[str, nn.Module]]:
        """(kohya's name without its prefix, layer) of the attention and the feed-forward layers, all of them."""
        raise NotImplementedError

    def unused_parameters(self) -> list[nn.Parameter]:
        """The parameters that take no part in any prediction: they get no gradient and stay as they are."""
        unread = [] if self.pooled else list(self.blocks[self.depth:])
        if not (self.normalised or self.pooled):
            unread.append(self.norm)
        return [parameter for module in unread for parameter in module.parameters()]


class CLIPTower(Tower):
    """A `CLIPTextModel` under Hugging Face's names."""

    @property
    def token_embedding(self) -> nn.Embedding:
        return self.module.text_model.embeddings.token_embedding

    @property
    def blocks(self) -> nn.ModuleList:
        return self.module.text_model.encoder.layers

    @property
    def norm(self) -> nn.Module:
        return self.module.text_model.final_layer_norm

    def states(self, embed: torch.Tensor, layers: int | None) -> list[torch.Tensor]:
        return text.hidden_states(self.module.text_model, None, embed, layers)

    def layers(self) -> Iterator[tuple[str, nn.Module]]:
        for i, layer in enumerate(self.blocks):
            for tail in (
                "self_attn.q_proj",
                "self_attn.k_proj",
                "self_attn.v_proj",
                "self_attn.out_proj",
                "mlp.fc1",
                "mlp.fc2",
            ):
                yield f"text_model_encoder_layers_{i}_{tail.replace('.', '_')}", layer.get_submodule(tail)


class OpenCLIPTower(Tower):
    """A text encoder under OpenCLIP's names, whose attention keeps queries, keys and values in one parameter."""

    @property
    def token_embedding(self) -> nn.Embedding:
        return self.module.token_embedding

    @property
    def blocks(self) -> nn.ModuleList:
        return self.module.transformer.resblocks

    @property
    def norm(self) -> nn.Module:
        return self.module.ln_final

    def states(self, embed: torch.Tensor, layers: int | None) -> list[torch.Tensor]:
        return openclip.hidden_states(self.module, embed, layers)

    def layers(self) -> Iterator[tuple[str, nn.Module]]:
        """Under the names that the same layers have in Hugging Face's CLIP, as sd-scripts writes them."""
        for i, layer in enumerate(self.module.transformer.resblocks):
            here = f"text_model_encoder_layers_{i}"
            yield from (
                (f"{here}_self_attn_{letter}_proj", part)
                for letter, part in zip("qkv", projections(layer.attn), strict=True)
            )
            yield f"{here}_self_attn_out_proj", layer.attn.out_proj
            yield f"{here}_mlp_fc1", layer.mlp.c_fc
            yield f"{here}_mlp_fc2", layer.mlp.c_proj

    def unused_parameters(self) -> list[nn.Parameter]:
        return super().unused_parameters() + unread_beside_layers(self)


class ProjectedCLIPTower(CLIPTower):
    """OpenCLIP's text encoder under Hugging Face's names (`CLIPTextModelWithProjection`): queries, keys and values
    are layers of their own. Its projection may be a layer or OpenCLIP's matrix.
    """

    @property
    def projection(self) -> torch.Tensor:
        projection = self.module.text_projection
        return projection if isinstance(projection, torch.Tensor) else projection.weight.T

    def unused_parameters(self) -> list[nn.Parameter]:
        return super().unused_parameters() + unread_beside_layers(self)


def open_clip_tower(module: nn.Module, **how: Any) -> Tower:
    """The `Tower` of OpenCLIP's text encoder, under whichever names it comes. how: as for `Tower`."""
    return (ProjectedCLIPTower if hasattr(module, "text_model") else OpenCLIPTower)(module, **how)


def unread_beside_layers(tower: Tower) -> list[nn.Parameter]:
    """The parameters of OpenCLIP's own loss, as far as a family does not read them."""
    names = ("logit_scale",) if tower.pooled else ("logit_scale", "text_projection")
    return [parameter for name, parameter in tower.module.named_parameters() if name.startswith(names)]
