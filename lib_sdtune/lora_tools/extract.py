"""What one checkpoint has learned beyond another, as a LoRA (sd-scripts' extract_lora_from_models.py)."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.ldm import checkpoint
from lib_sdtune.lora_tools import checkpoint_layers, output
from lib_sdtune.lora_tools.approximation import Approximation, by_layer, named
from lib_sdtune.lora_tools.checkpoint_layers import CheckpointLayer, CheckpointLayers
from lib_sdtune.progress import Progress


@torch.no_grad()
def extract(
    original: Path,
    tuned: Path,
    target: Path,
    dim: int,
    conv_dim: int = 0,
    clamp_quantile: float = 0.99,
    min_diff: float = 0.01,
    save_precision: str = "",
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress = lambda done, total, text: None,
) -> int:
    """Write the difference of two checkpoints of one family to `target` as a LoRA of rank `dim`; the number of its
    layers.

    conv_dim: rank of 3x3 convolutions, 0 leaves the residual blocks out. clamp_quantile: where single large values
    are cut, 1 nowhere. min_diff: the largest difference up to which the text encoders count as the same. UserError
    before anything is written.
    """
    approximation = Approximation(dim, conv_dim, clamp_quantile)
    approximation.check()
    if not 0 <= min_diff < math.inf:
        raise UserError(f"min_diff is {min_diff}; it must be a number from 0 on, such as 0.01.")
    output.check_target(target, "lora", [original, tuned], overwrite)
    first, second = checkpoint_layers.read(original), checkpoint_layers.read(tuned)
    layers = common(first, second, original, tuned, bool(conv_dim))
    before, after = checkpoint.read(original)[0], checkpoint.read(tuned)[0]
    unet = [layer for layer in layers if layer.key.startswith("lora_unet_")]
    text = [layer for layer in layers if layer not in unet]
    if not any(largest(layer, before, after) > min_diff for layer in text):
        text = []
    if not any(largest(layer, before, after) for layer in (*text, *unet)):
        raise UserError(
            f"{tuned.name} and {original.name} have the same weights in every layer, so there is nothing to extract."
        )

    def learned(key: str, layer: CheckpointLayer) -> dict[str, torch.Tensor]:
        return approximation.of(difference(layer, before, after).to(device))

    tensors = by_layer({layer.key: layer for layer in (*text, *unet)}, learned, "extracting", progress)
    facts = output.base_of(second.family, second.variant) | approximation.facts() | output.named(target)
    output.write_lora(target, named(tensors), facts, output.precision_of(save_precision, torch.float32))
    return len(tensors)


def common(
    first: CheckpointLayers, second: CheckpointLayers, original: Path, tuned: Path, convolutions: bool
) -> list[CheckpointLayer]:
    """The layers of both that a LoRA names, text encoders first. UserError where they differ."""
    if type(first.family) is not type(second.family):
        raise UserError(
            f"{original.name} is of the family {first.family.sd_version} and {tuned.name} of "
            f"{second.family.sd_version}; only checkpoints of one family have a difference."
        )
    for layer in first.trained():
        other = second.layers.get(layer.key)
        if other is None or other.shape != layer.shape:
            raise UserError(
                f"{original.name} and {tuned.name} differ in the size of {layer.key}, so they have no difference."
            )
    chosen = [layer for layer in first.trained() if convolutions or layer.kind != "convolution"]
    return sorted(chosen, key=lambda layer: layer.key.startswith("lora_unet_"))


def difference(layer: CheckpointLayer, before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]
               ) -> torch.Tensor:
    """float32, in the layer's shape."""
    return layer.of(after[layer.name]).float() - layer.of(before[layer.name]).float()


def largest(layer: CheckpointLayer, before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> float:
    return float(difference(layer, before, after).abs().max())
