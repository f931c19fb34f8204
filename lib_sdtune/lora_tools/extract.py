"""What one checkpoint has learned beyond another, as a LoRA (sd-scripts' extract_lora_from_models.py)."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.ldm import checkpoint
from lib_sdtune.lora_tools import checkpoint_layers, layers, output
from lib_sdtune.lora_tools.checkpoint_layers import CheckpointLayers, Place
from lib_sdtune.lora_tools.singular_values import clamped, decompose

Progress = Callable[[int, int, str], None]


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
    if dim < 1 or conv_dim < 0 or not 0 < clamp_quantile <= 1:
        raise UserError("dim must be 1 or more, conv_dim 0 or more, and clamp_quantile above 0 and at most 1.")
    output.check_target(target, "lora", [original, tuned], overwrite)
    first, second = checkpoint_layers.read(original), checkpoint_layers.read(tuned)
    places = common(first, second, original, tuned, bool(conv_dim))
    before, after = checkpoint.read(original)[0], checkpoint.read(tuned)[0]
    unet = [place for place in places if place.key.startswith("lora_unet_")]
    text = [place for place in places if place not in unet]
    if not any(largest(place, before, after) > min_diff for place in text):
        text = []
    if not any(largest(place, before, after) for place in (*text, *unet)):
        raise UserError(
            f"{tuned.name} and {original.name} have the same weights in every layer, so there is nothing to extract."
        )
    tensors: dict[str, torch.Tensor] = {}
    chosen = [*text, *unet]
    for done, place in enumerate(chosen):
        progress(done, len(chosen), "extracting")
        change = difference(place, before, after).to(device)
        r = min(conv_dim if place.spatial else dim, *change.shape[:2])
        tensors |= {f"{place.key}.{tail}": tensor for tail, tensor in approximated(change, r, clamp_quantile).items()}
    progress(len(chosen), len(chosen), "writing")
    arguments = {"conv_dim": str(conv_dim), "conv_alpha": str(float(conv_dim))} if conv_dim else None
    facts = (
        output.base_of(second.family, second.variant)
        | output.network_facts([dim], [float(dim)], arguments)
        | output.named(target)
    )
    output.write_lora(target, tensors, facts, output.precision_of(save_precision, torch.float32))
    return len(chosen)


def common(
    first: CheckpointLayers, second: CheckpointLayers, original: Path, tuned: Path, convolutions: bool
) -> list[Place]:
    """The layers of both that a LoRA names, text encoders first. UserError where they differ."""
    if type(first.family) is not type(second.family):
        raise UserError(
            f"{original.name} is of the family {first.family.sd_version} and {tuned.name} of "
            f"{second.family.sd_version}; only checkpoints of one family have a difference."
        )
    for place in first.trained():
        other = second.places.get(place.key)
        if other is None or other.shape != place.shape:
            raise UserError(
                f"{original.name} and {tuned.name} differ in the size of {place.key}, so they have no difference."
            )
    chosen = [place for place in first.trained() if convolutions or place.kind != "convolution"]
    return sorted(chosen, key=lambda place: place.key.startswith("lora_unet_"))


def difference(place: Place, before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """float32, in the layer's shape."""
    return place.of(after[place.name]).float() - place.of(before[place.name]).float()


def largest(place: Place, before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> float:
    return float(difference(place, before, after).abs().max())


def approximated(change: torch.Tensor, rank: int, clamp_quantile: float) -> dict[str, torch.Tensor]:
    """tail -> tensor of the LoRA of that rank that comes nearest to a change; its alpha is the rank."""
    u, values, vh = decompose(change.flatten(1))
    up, down = clamped(u[:, :rank] * values[:rank], vh[:rank], clamp_quantile)
    return layers.halves(up, down, change.shape) | {"alpha": torch.tensor(float(rank))}
