"""Weights stored in eight bits cannot be trained on: their gradients have no meaning."""

from collections.abc import Iterator
from contextlib import contextmanager

from modules import shared
from torch import nn

from lib_sdtune.errors import UserError

REMEDY = "set Settings > Optimizations > FP8 weight to Disable, then start again"


def refuse_fp8_setting() -> None:
    """UserError where the settings have every checkpoint stored so, also one that is loaded only later."""
    if getattr(shared.opts, "fp8_storage", "Disable") == "Enable":
        raise UserError(f"The WebUI stores checkpoints as FP8; {REMEDY}.")


def refuse_fp8(sd_model: nn.Module) -> None:
    if any("float8" in str(weight.dtype) for weight in sd_model.parameters()):
        raise UserError(f"The checkpoint is stored as FP8; {REMEDY}.")


@contextmanager
def trainable(sd_model: nn.Module) -> Iterator[None]:
    refuse_fp8(sd_model)
    yield
