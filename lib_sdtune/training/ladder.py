"""Cheaper configurations, one after the other: what costs the result least goes first."""

import copy

from lib_sdtune import optim
from lib_sdtune.optim.schedule import is_zero
from lib_sdtune.training.memory import wants_checkpointing

SMALLEST = 256  # pixels a side


def rungs(config, device):
    """Yield ({path: value}, `Config`) of ever cheaper settings; each holds the changes of those before it."""
    changes, config = {}, copy.deepcopy(config)
    for step in (checkpointing, optimizer, weights, one_picture, no_text_encoder, smaller_pictures, smaller_pictures):
        found = step(config, device)
        if found:
            for path, value in found.items():
                section, key = path.split(".")
                setattr(getattr(config, section), key, value)
            changes |= found
            yield dict(changes), copy.deepcopy(config)


def checkpointing(config, device):
    on = wants_checkpointing(config.train.gradient_checkpointing, device)
    return {} if on else {"train.gradient_checkpointing": "on"}


def optimizer(config, device):
    """One that remembers less; Lion wants about a third of the rate."""
    train = config.train
    if config.method != "dreambooth" or optim.bytes_of(train.optimizer) <= optim.bytes_of("Lion"):
        return {}
    if device.type == "cuda" and train.optimizer == "AdamW" and optim.there("AdamW8bit"):
        return {"train.optimizer": "AdamW8bit"}
    if not optim.there("Lion"):
        return {}
    rates = {key: getattr(config.dreambooth, key) for key in ("unet_lr", "text_encoder_lr")}
    lower = {f"dreambooth.{key}": float(f"{lr / 3:.1e}") for key, lr in rates.items() if not isinstance(lr, str) and lr}
    return {"train.optimizer": "Lion", "train.optimizer_args": {}} | lower


def weights(config, device):
    return {"dreambooth.weights": "bfloat16"} if config.method == "dreambooth" and config.dreambooth.weights != "bfloat16" else {}


def one_picture(config, device):
    return {"train.batch_size": 1} if config.train.batch_size > 1 else {}


def no_text_encoder(config, device):
    settings = config.settings
    trains = not is_zero(getattr(settings, "text_encoder_lr", 0)) and not is_zero(settings.unet_lr)
    return {f"{config.method}.text_encoder_lr": 0.0} if trains else {}


def smaller_pictures(config, device):
    """Three quarters of the side, a whole number of buckets."""
    side = config.dataset.resolution * 3 // 4 // 64 * 64
    return {"dataset.resolution": side} if side >= SMALLEST else {}
