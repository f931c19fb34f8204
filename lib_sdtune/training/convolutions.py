"""cuDNN's choice among its ways to convolve."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def fastest_convolutions(device: torch.device) -> Iterator[None]:
    """Inside, cuDNN tries its ways once for each shape and keeps the fastest: a run has few shapes and many steps.

    The flag is the whole program's, so it is put back for whoever uses the device in between. Nothing on other devices,
    nor on AMD's: MIOpen takes it for an exhaustive search, of minutes for each shape (`Conv_miopen.cpp`).
    """
    if device.type != "cuda" or torch.version.hip:
        yield
        return
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
