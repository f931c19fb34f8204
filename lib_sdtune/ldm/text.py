"""The CLIP text tower (arXiv 2103.00020), with the parameter names of `cond_stage_model.transformer.*`.

`hidden_states` walks a tower by those names, so that it runs ours and a Hugging Face `CLIPTextModel` alike.
"""

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from lib_sdtune.ldm import recompute


class CLIPTextModel(nn.Module):
    """A causal transformer over token ids."""

    def __init__(self, vocab_size: int = 49408, width: int = 768, layers: int = 12, heads: int = 12,
                 positions: int = 77, mlp_ratio: float = 4, activation: str = "quick_gelu") -> None:
        super().__init__()
        self.text_model = CLIPTextTransformer(vocab_size, width, layers, heads, positions, int(width * mlp_ratio),
                                              activation)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(B, n, width): the last hidden state, normalised, for ids (B, n)."""
        return self.text_model.final_layer_norm(hidden_states(self.text_model, ids)[-1])


def hidden_states(text_model: Any, ids: torch.Tensor | None, embed: torch.Tensor | None = None,
                  layers: int | None = None) -> list[torch.Tensor]:
    """[(B, n, width)] * (layers + 1): the embeddings, then each layer's answer, before `final_layer_norm`.

    embed: token embeddings (B, n, width) to use instead of the ids' own. layers: how many layers to run, None for all.
    """
    embeddings = text_model.embeddings
    if embed is None:
        embed = embeddings.token_embedding(ids)
    ids = getattr(embeddings, "position_ids", None)
    count, device = embed.shape[1], embed.device
    positions = torch.arange(count, device=device) if ids is None else ids[0, :count].to(device)
    states = [embed + embeddings.position_embedding(positions)]
    for layer in text_model.encoder.layers[:layers]:
        states.append(recompute.answer(forward, layer, states[-1]))
    return states


def forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    x = x + attention(layer.self_attn, layer.layer_norm1(x))
    return x + feed_forward(layer.mlp, layer.layer_norm2(x))


def attention(attn: Any, x: torch.Tensor) -> torch.Tensor:
    q, k, v = (rearrange(projection(x), "b n (heads d) -> b heads n d", heads=attn.num_heads)
               for projection in (attn.q_proj, attn.k_proj, attn.v_proj))
    answer = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return attn.out_proj(rearrange(answer, "b heads n d -> b n (heads d)"))


def feed_forward(mlp: Any, x: torch.Tensor) -> torch.Tensor:
    return mlp.fc2(mlp.activation_fn(mlp.fc1(x)))


def quick_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(1.702 * x)


class CLIPTextTransformer(nn.Module):
    def __init__(self, vocab_size: int, width: int, layers: int, heads: int, positions: int, hidden: int,
                 activation: str) -> None:
        super().__init__()
        self.embeddings = nn.Module()
        self.embeddings.token_embedding = nn.Embedding(vocab_size, width)
        self.embeddings.position_embedding = nn.Embedding(positions, width)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(layer(width, heads, hidden, activation) for _ in range(layers))
        self.final_layer_norm = nn.LayerNorm(width)


def layer(width: int, heads: int, hidden: int, activation: str) -> nn.Module:
    """One layer's parameters; `hidden_states` knows what to do with them."""
    block: Any = nn.Module()
    block.self_attn = nn.Module()
    block.self_attn.num_heads = heads
    for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
        block.self_attn.add_module(name, nn.Linear(width, width))
    block.layer_norm1 = nn.LayerNorm(width)
    block.mlp = nn.Module()
    block.mlp.activation_fn = {"quick_gelu": quick_gelu, "gelu": F.gelu}[activation]
    block.mlp.fc1 = nn.Linear(width, hidden)
    block.mlp.fc2 = nn.Linear(hidden, width)
    block.layer_norm2 = nn.LayerNorm(width)
    return block
