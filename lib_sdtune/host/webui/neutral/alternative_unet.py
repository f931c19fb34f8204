"""A UNet of another make (TensorRT and the like) answers in place of the checkpoint's own; it has no gradients."""

from collections.abc import Iterator
from contextlib import contextmanager

from modules import sd_unet
from torch import nn


@contextmanager
def off(sd_model: nn.Module) -> Iterator[None]:
    active = sd_unet.current_unet_option
    if active is None:
        yield
        return
    sd_unet.apply_unet("None")
    try:
        yield
    finally:
        sd_unet.apply_unet(active.label)
