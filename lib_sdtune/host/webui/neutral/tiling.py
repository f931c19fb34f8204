"""Tiling makes every convolution wrap around, and stays on after the picture that asked for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from modules.sd_hijack import model_hijack
from torch import nn


@contextmanager
def off(sd_model: nn.Module) -> Iterator[None]:
    circular = model_hijack.circular_enabled
    model_hijack.apply_circular(False)
    try:
        yield
    finally:
        model_hijack.apply_circular(circular)
