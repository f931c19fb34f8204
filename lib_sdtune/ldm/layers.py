"""The layers of a latent diffusion model by name, for whatever trains them.

The walk needs only the checkpoint's attribute names, so it runs our modules and the public ones in the WebUI alike.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lib_sdtune.errors import UserError


@dataclass(frozen=True)
class Layer:
    """`path` is the checkpoint's name (input_blocks.1.1.proj_in); `diffusers` the other one
    (down_blocks_0_attentions_0_proj_in).
    """

    path: str
    diffusers: str
    module: nn.Module
    kind: str  # "attention" | "convolution", as in families.base.Target
    block: str  # "IN00" ... "MID" ... "OUT11"


RESNET = {"in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.3": "conv2",
          "skip_connection": "conv_shortcut"}

RESNET_NORMS = {"in_layers.0": "norm1", "out_layers.0": "norm2"}
TRANSFORMER_NORMS = ("norm1", "norm2", "norm3")


ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
BLOCK = (
    *(f"{attention}.{tail}" for attention in ("attn1", "attn2") for tail in ATTENTION),
    "ff.net.0.proj",
    "ff.net.2",
)
"""What every transformer block has, whatever class a host makes it of."""


OUTER = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding_linear_1": "time_embed.0",
    "time_embedding_linear_2": "time_embed.2",
    "add_embedding_linear_1": "label_emb.0.0",
    "add_embedding_linear_2": "label_emb.0.2",
}
"""Layers of the UNet outside its blocks: diffusers' name -> the checkpoint's."""


def outer_layers(unet: Any) -> Iterator[Layer]:
    """Those of `OUTER` that the UNet has."""
    for diffusers, path in OUTER.items():
        module = unet
        for name in path.split("."):
            module = module[int(name)] if name.isdigit() else getattr(module, name, None)
            if module is None:
                break
        else:
            kind = "convolution" if module.weight.ndim == 4 else "attention"
            yield Layer(path, diffusers, module, kind, "")


def unet_layers(unet: Any) -> Iterator[Layer]:
    """Every `Layer` of the transformers, residual blocks and samplers, from the input to the output."""
    for block in blocks(unet):
        yield from block_layers(*block)


def norm_layers(unet: Any) -> Iterator[Layer]:
    """The norm layers of the transformers and residual blocks, in the same order."""
    for block in blocks(unet):
        yield from block_norms(*block)


def blocks(unet: Any) -> Iterator[tuple[Iterable[Any], str, str, str, int]]:
    """(block, path, name, diffusers' name of its level, its number there)."""
    for i, block in enumerate(unet.input_blocks):
        if i:  # the first is the convolution that everything starts with
            level, j = divmod(i - 1, 3)
            yield block, f"input_blocks.{i}", f"IN{i:02}", f"down_blocks_{level}", j
    yield unet.middle_block, "middle_block", "MID", "mid_block", 0
    for i, block in enumerate(unet.output_blocks):
        level, j = divmod(i, 3)
        yield block, f"output_blocks.{i}", f"OUT{i:02}", f"up_blocks_{level}", j


def block_layers(block: Iterable[Any], path: str, name: str, diffusers: str, index: int) -> Iterator[Layer]:
    resnet = index
    for i, module in enumerate(block):
        here = f"{path}.{i}"
        if hasattr(module, "transformer_blocks"):
            for tail, layer in transformer_layers(module, here):
                yield Layer(f"{here}.{tail}", f"{diffusers}_attentions_{index}_{flat(tail)}", layer, "attention", name)
        elif hasattr(module, "in_layers"):
            for tail, diffusers_tail in RESNET.items():
                layer = module.get_submodule(tail)
                if tail != "skip_connection" or any(True for _ in layer.parameters()):  # else it passes its input on
                    refuse_without_weight(layer, f"{here}.{tail}")
                    yield Layer(f"{here}.{tail}", f"{diffusers}_resnets_{resnet}_{diffusers_tail}", layer,
                                "convolution", name)
            resnet += 1
        else:
            tail = "op" if hasattr(module, "op") else "conv"
            sampler = "downsamplers" if tail == "op" else "upsamplers"
            yield Layer(f"{here}.{tail}", f"{diffusers}_{sampler}_0_conv", getattr(module, tail), "convolution", name)


def block_norms(block: Iterable[Any], path: str, name: str, diffusers: str, index: int) -> Iterator[Layer]:
    resnet = index
    for i, module in enumerate(block):
        here = f"{path}.{i}"
        if hasattr(module, "transformer_blocks"):
            numbers = range(len(module.transformer_blocks))
            inner = [f"transformer_blocks.{number}.{norm}" for number in numbers for norm in TRANSFORMER_NORMS]
            for tail in ("norm", *inner):
                yield Layer(f"{here}.{tail}", f"{diffusers}_attentions_{index}_{flat(tail)}",
                            module.get_submodule(tail), "attention", name)
        elif hasattr(module, "in_layers"):
            for tail, diffusers_tail in RESNET_NORMS.items():
                yield Layer(f"{here}.{tail}", f"{diffusers}_resnets_{resnet}_{diffusers_tail}",
                            module.get_submodule(tail), "convolution", name)
            resnet += 1


def transformer_layers(transformer: Any, path: str) -> Iterator[tuple[str, nn.Module]]:
    """(name, layer) of everything with a matrix or kernel. UserError where one of those that all have is not among
    them.
    """
    layers: dict[str, nn.Module] = {}
    for name, module in transformer.named_modules():
        if weighted(module) and not any(name.startswith(f"{outer}.") for outer in layers):
            layers[name] = module
    blocks = [f"transformer_blocks.{number}." for number, _ in enumerate(transformer.transformer_blocks)]
    for name in ("proj_in", "proj_out", *(block + tail for block in blocks for tail in BLOCK)):
        if name not in layers:
            refuse_without_weight(dict(transformer.named_modules()).get(name), f"{path}.{name}")
    yield from layers.items()


def weighted(layer: nn.Module | None) -> bool:
    """Whether it multiplies with a matrix or a kernel of plain numbers, whatever its class."""
    weight = getattr(layer, "weight", None)
    return isinstance(weight, torch.Tensor) and weight.ndim in (2, 4) and weight.is_floating_point()


def refuse_without_weight(layer: nn.Module | None, name: str) -> None:
    """UserError naming the layer and its class."""
    if not weighted(layer):
        state = (
            "is missing" if layer is None else f"has no weight of plain numbers (its class is {type(layer).__name__})"
        )
        raise UserError(
            f"The layer {name} of this model {state}, so nothing could be trained on it: a setting or an extension has "
            "exchanged or compressed it. Switch that off and load the model anew."
        )


def flat(path: str) -> str:
    return path.replace(".", "_")
