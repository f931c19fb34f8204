"""What it takes to train the model's own weights, by arithmetic, and what makes it cheaper."""

import math
from typing import Any

import torch

from lib_sdtune import optim
from lib_sdtune.devices import HALVES, compute_dtype
from lib_sdtune.loaded_model import ModelSpec
from lib_sdtune.methods.base import Method
from lib_sdtune.optim.master_weights import MasterCopy, TrainedWeight, plan
from lib_sdtune.optim.schedule import is_zero
from lib_sdtune.optim.weight_groups import largest_group
from lib_sdtune.sections.general import GeneralConfig


def rate(settings: Any, part: str) -> float | str:
    return {"unet": settings.unet_lr, "vae": 0}.get(part, settings.text_encoder_lr)


def smaller_optimizer(config: GeneralConfig, device: torch.device) -> dict[str, Any]:
    """One that remembers less; Lion wants about a third of the rate."""
    train = config.train
    if optim.bytes_of(train.optimizer) <= optim.bytes_of("Lion"):
        return {}
    if device.type == "cuda" and train.optimizer == "AdamW" and optim.available("AdamW8bit"):
        return {"train.optimizer": "AdamW8bit"}
    if not optim.available("Lion"):
        return {}
    rates = {key: getattr(config.settings, key) for key in ("unet_lr", "text_encoder_lr")}
    lower = {
        f"{config.method}.{key}": float(f"{lr / 3:.1e}") for key, lr in rates.items() if not isinstance(lr, str) and lr
    }
    return {"train.optimizer": "Lion", "train.optimizer_args": {}} | lower


def half_weights(config: GeneralConfig, device: torch.device) -> dict[str, Any]:
    return {f"{config.method}.weights": "bfloat16"} if config.settings.weights != "bfloat16" else {}


class WholeModel(Method):
    """A method whose section of the config has "unet_lr", "text_encoder_lr", "weights" and "ema_decay"."""

    cheaper = (smaller_optimizer, half_weights)

    @classmethod
    def trainable_sizes(cls, config: GeneralConfig, spec: ModelSpec) -> list[int]:
        """How many numbers each tensor that learns has."""
        return [math.prod(shape) for part, tensors in spec.shapes.items() if not is_zero(rate(config.settings, part))
                for shape in tensors.values()]

    @classmethod
    def count_trainable(cls, config: GeneralConfig, spec: ModelSpec) -> int:
        return sum(cls.trainable_sizes(config, spec))

    @classmethod
    def memory_bytes(cls, config: GeneralConfig, spec: ModelSpec) -> int:
        """The weights' format instead of the lent one, float32 copies, the optimizer's memory, and gradients: a group's
        or all.
        """
        sizes = cls.trainable_sizes(config, spec)
        count, largest = sum(sizes), largest_group(sizes)
        dtype, trained = cls.plan(config, spec.device, spec.dtype, count)
        beside = (
            dtype.itemsize
            - spec.dtype.itemsize
            + 4 * (trained is MasterCopy)
            + optim.bytes_of(config.train.optimizer)
        )
        average = 4 if config.settings.ema_decay and spec.device.type == "cpu" else 0
        if optim.needs_all(config.train.optimizer):
            gradients = count * trained.gradient_bytes
        elif config.train.gradient_accumulation_steps > 1:
            gradients = count * dtype.itemsize + largest * trained.gradient_bytes
        elif spec.device.type == "cuda" and not optim.supports_found_inf(
            config.train.optimizer, config.train.optimizer_args, spec.device
        ):
            gradients = largest * (trained.gradient_bytes + dtype.itemsize)  # one group waits beside the next one's
        else:
            gradients = largest * trained.gradient_bytes
        return count * (beside + average) + gradients

    @classmethod
    def weight_dtype(cls, config: GeneralConfig, spec: ModelSpec) -> torch.dtype:
        return cls.plan(config, spec.device, spec.dtype, cls.count_trainable(config, spec))[0]

    @staticmethod
    def plan(
        config: GeneralConfig, device: torch.device, dtype: torch.dtype, count: int
    ) -> tuple[torch.dtype, type[TrainedWeight]]:
        """`optim.master_weights.plan` of `count` weights that are lent in `dtype`."""
        compute = compute_dtype(config.train.mixed_precision, device, dtype)
        return plan(config.settings.weights, device, dtype, count, compute if dtype in HALVES else None)
