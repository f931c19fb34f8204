"""Cheaper configurations, one after the other: what costs the result least goes first."""

import copy
from collections.abc import Iterator
from typing import Any

import torch

from lib_sdtune.config import Config
from lib_sdtune.devices import can_recompute
from lib_sdtune.loaded_model import ModelSpec
from lib_sdtune.methods import registry as methods
from lib_sdtune.optim.schedule import is_zero
from lib_sdtune.sections.dataset import with_bucket_sides
from lib_sdtune.training.memory.estimate import recomputes

MIN_SIDE = 256  # pixels a side


def cheaper_configs(
    config: Config, device: torch.device, spec: ModelSpec | None = None
) -> Iterator[tuple[dict[str, Any], Config]]:
    """Yield ({path: value}, `Config`) of ever cheaper settings; each holds the changes of those before it.

    spec: of the model, where it is known: whether activations are recomputed anyway depends on it.
    """
    changes: dict[str, Any] = {}
    config = copy.deepcopy(config)
    recomputed = recomputes(config, spec) if spec else config.train.gradient_checkpointing == "on"
    for step in (
        *(() if recomputed else (checkpointing,)),
        *methods[config.method].cheaper,
        one_picture,
        no_text_encoder,
        smaller_pictures,
        smaller_pictures,
    ):
        cheaper = step(config, device)
        if cheaper:
            for path, value in cheaper.items():
                section, key = path.split(".")
                setattr(getattr(config, section), key, value)
            changes |= cheaper
            yield dict(changes), copy.deepcopy(config)


def checkpointing(config: Config, device: torch.device) -> dict[str, Any]:
    return {"train.gradient_checkpointing": "on"} if can_recompute(device) else {}


def one_picture(config: Config, device: torch.device) -> dict[str, Any]:
    return {"train.batch_size": 1} if config.train.batch_size > 1 else {}


def no_text_encoder(config: Config, device: torch.device) -> dict[str, Any]:
    settings = config.settings
    trains = not is_zero(getattr(settings, "text_encoder_lr", 0)) and not is_zero(settings.unet_lr)
    return {f"{config.method}.text_encoder_lr": 0.0} if trains else {}


def smaller_pictures(config: Config, device: torch.device) -> dict[str, Any]:
    """Three quarters of the side, a whole number of buckets; these keep their shapes."""
    data = config.dataset
    side = data.resolution * 3 // 4 // 64 * 64
    if side < MIN_SIDE:
        return {}
    changes = {"resolution": side}
    if data.enable_bucket and not data.bucket_no_upscale:
        changes = with_bucket_sides(changes, vars(data))
    return {f"dataset.{key}": value for key, value in changes.items()}
