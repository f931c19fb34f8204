"""The modules of a checkpoint, of whatever width and depth: their sizes are read off its tensors."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.ldm import positions
from lib_sdtune.ldm.checkpoint import CLIP, UNET, VAE, embedded_json
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.unet import UNetModel
from lib_sdtune.ldm.vae import AutoencoderKL

MISSED = {"logit_scale": 4.6052}  # of OpenCLIP's own loss: some files lack it, and diffusion never reads it


@dataclass(frozen=True)
class Part:
    """A part of a model: what its tensors' names begin with in a checkpoint, the module, and the module's arguments by
    its tensors. stored: the tensors of a host's module, which may have other names, as a checkpoint has them.
    """

    prefix: str
    module: Callable[..., torch.nn.Module]
    sizes: Callable[[dict], dict]
    name: str  # in the metadata key "sdtune_architecture"
    stored: Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]] = dict


def overrides(metadata: Mapping[str, str] | None) -> dict[str, dict[str, Any]]:
    """Arguments by part that the metadata key "sdtune_architecture" gives: {"unet": {"num_heads": 4}, "text":
    {"heads": 8}}.
    """
    return embedded_json(metadata or {}, "sdtune_architecture")


def build(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None,
          dtype: torch.dtype = torch.float32, parts: Iterable[Part] | None = None,
          architecture: Mapping[str, dict[str, Any]] | None = None
          ) -> tuple[torch.nn.Module, torch.nn.Module, list[torch.nn.Module]]:
    """(UNet, VAE, [text encoders]) with the weights of a checkpoint, in `dtype`, frozen and ready to predict.

    The number of attention heads leaves no trace in the tensors. The rule: a UNet whose proj_in is a convolution has 8
    heads, one whose proj_in is linear has heads 64 wide; a text encoder of width 512 or more has heads 64 wide, a
    smaller one has 4. `architecture` and the metadata may say otherwise, the latter above all. parts: the family's,
    SD1's if None. UserError where a tensor is missing or of another shape.
    """
    overridden = overrides(metadata)
    arguments = [(part, (architecture or {}).get(part.name, {}) | overridden.get(part.name, {}))
                 for part in parts or SD1]
    unet, vae, *text_encoders = [assemble(tensors, part, overriding, dtype) for part, overriding in arguments]
    return unet, vae, text_encoders


def assemble(tensors: Mapping[str, torch.Tensor], part: Part, overriding: dict[str, Any],
             dtype: torch.dtype) -> torch.nn.Module:
    prefix = part.prefix
    part_tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    try:
        arguments = part.sizes(part_tensors) | overriding
    except KeyError as error:
        raise unsuitable(f"lacks {prefix}{error.args[0]}") from error
    with torch.device("meta"):
        module = part.module(**arguments)
    tensors = {prefix + name: torch.tensor(value) for name, value in MISSED.items()} | dict(tensors)
    module.load_state_dict(
        {name: fit(tensors, prefix, name, like, dtype) for name, like in module.state_dict().items()}, assign=True
    )
    if part.module is CLIPTextModel:
        positions.take_over(module, tensors, prefix)
    return module.eval().requires_grad_(False)


def fit(tensors: Mapping[str, torch.Tensor], prefix: str, name: str, like: torch.Tensor,
        dtype: torch.dtype) -> torch.Tensor:
    """The file's tensor in our dtype, in memory of its own, for the parameter that looks like `like`."""
    tensor = tensors.get(prefix + name)
    if tensor is None or tensor.numel() != like.numel():
        state = "lacks" if tensor is None else f"has an unexpected shape {tuple(tensor.shape)} of"
        raise unsuitable(f"{state} {prefix}{name}")
    return tensor.to(dtype, copy=True).reshape(like.shape)  # 1x1 convolutions are sometimes kept as matrices


def unsuitable(why: str) -> UserError:
    return UserError(f"The checkpoint {why}: it is incomplete, or of a model family that is not supported.")


def count(tensors: Iterable[str], pattern: str) -> int:
    """How many of pattern.format(0), pattern.format(1), ... begin a name."""
    n = 0
    while any(name.startswith(pattern.format(n)) for name in tensors):
        n += 1
    return n


def unet_sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    first, blocks = tensors["input_blocks.0.0.weight"], count(tensors, "input_blocks.{}.")
    depths, widths, level_blocks, linear, context = [0], [0], [0], False, 0
    for i in range(1, blocks):
        block = f"input_blocks.{i}."
        if f"{block}0.op.weight" in tensors:
            depths, widths, level_blocks = [*depths, 0], [*widths, 0], [*level_blocks, 0]
            continue
        widths[-1] = tensors[f"{block}0.out_layers.3.weight"].shape[0]
        level_blocks[-1] += 1
        if f"{block}1.norm.weight" in tensors:
            depths[-1] = count(tensors, block + "1.transformer_blocks.{}.")
    linear = tensors["middle_block.1.proj_in.weight"].ndim == 2
    context = tensors["middle_block.1.transformer_blocks.0.attn2.to_k.weight"].shape[1]
    return {
        "in_channels": first.shape[1], "out_channels": tensors["out.2.weight"].shape[0],
        "model_channels": first.shape[0],
        "channel_mult": tuple(width // first.shape[0] for width in widths), "num_res_blocks": level_blocks[0],
        "attention_levels": tuple(level for level, depth in enumerate(depths) if depth), "context_dim": context,
        "transformer_depth": tuple(depths), "middle_depth": count(tensors, "middle_block.1.transformer_blocks.{}."),
        "head_channels": 64 if linear else None, "use_linear": linear,
        "adm_channels": tensors["label_emb.0.0.weight"].shape[1] if "label_emb.0.0.weight" in tensors else None}


def vae_sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    ch, levels = tensors["encoder.conv_in.weight"].shape[0], count(tensors, "encoder.down.{}.")
    return {
        "ch": ch,
        "ch_mult": tuple(tensors[f"encoder.down.{level}.block.0.conv1.weight"].shape[0] // ch
                         for level in range(levels)),
        "num_res_blocks": count(tensors, "encoder.down.0.block.{}."),
        "z_channels": tensors["decoder.conv_in.weight"].shape[1],
        "embed_dim": tensors["quant_conv.weight"].shape[0] // 2,
    }


def text_sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    vocab, width = tensors["text_model.embeddings.token_embedding.weight"].shape
    return {"vocab_size": vocab, "width": width, "heads": width // 64 if width >= 512 else 4,
            "layers": count(tensors, "text_model.encoder.layers.{}."),
            "positions": tensors["text_model.embeddings.position_embedding.weight"].shape[0],
            "mlp_ratio": tensors["text_model.encoder.layers.0.mlp.fc1.weight"].shape[0] / width}


def open_text_sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    vocab, width = tensors["token_embedding.weight"].shape
    return {
        "vocab_size": vocab,
        "width": width,
        "heads": width // 64 if width >= 512 else 4,
        "layers": count(tensors, "transformer.resblocks.{}."),
        "positions": tensors["positional_embedding"].shape[0],
        "mlp_ratio": tensors["transformer.resblocks.0.mlp.c_fc.weight"].shape[0] / width,
        "projection": tensors["text_projection"].shape[1],
    }


UNET_PART = Part(UNET, UNetModel, unet_sizes, "unet")
VAE_PART = Part(VAE, AutoencoderKL, vae_sizes, "vae")
CLIP_PART = Part(CLIP, CLIPTextModel, text_sizes, "text")
SD1 = (UNET_PART, VAE_PART, CLIP_PART)
