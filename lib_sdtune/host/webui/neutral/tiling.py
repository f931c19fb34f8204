"""Tiling makes every convolution wrap around, and stays on after the picture that asked for it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def off(sd_model: nn.Module) -> Iterator[None]:
    hijack = sys.modules.get("modules.sd_hijack")
    if not hasattr(getattr(hijack, "model_hijack", None), "circular_enabled"):
        yield  # a fork that has no tiling, or has it switched off
        return
    model_hijack = hijack.model_hijack
    circular = model_hijack.circular_enabled
    model_hijack.apply_circular(False)
    try:
        yield
    finally:
        model_hijack.apply_circular(circular)
