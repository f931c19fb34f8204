"""The frequencies of SDXL's timestep embedding, which sgm makes on the CPU in every forward and copies to the GPU.

The copy makes the CPU wait for the GPU, and cannot be recorded as a CUDA graph. Here they are copied once.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from modules import devices
from torch import nn

from lib_sdtune.swap import replaced

UNET_MODULE = "sgm.modules.diffusionmodules.openaimodel"
REPLACED = ("sgm.modules.diffusionmodules.util", "modules.sd_hijack_utils")  # sgm's own, and the WebUI's around it


@contextmanager
def on_device(sd_model: nn.Module) -> Iterator[None]:
    module: Any = sys.modules.get(UNET_MODULE)
    if module is None or module.timestep_embedding.__module__ not in REPLACED:
        yield
        return
    frequencies = cache(frequencies_on)
    original = module.timestep_embedding

    def timestep_embedding(timesteps: torch.Tensor, dim: int, max_period: float = 10000, repeat_only: bool = False
                           ) -> torch.Tensor:
        if repeat_only or dim % 2:
            return original(timesteps, dim, max_period, repeat_only)
        angles = timesteps[:, None].float() * frequencies(dim // 2, max_period, timesteps.device)
        return torch.cat([angles.cos(), angles.sin()], dim=-1).to(devices.dtype_unet)

    with replaced(module, "timestep_embedding", timestep_embedding):
        yield


def frequencies_on(count: int, max_period: float, device: torch.device) -> torch.Tensor:
    """(count,) float32, made on the CPU as sgm makes them, so that they are the same numbers."""
    on_cpu = torch.exp(-math.log(max_period) * torch.arange(count, dtype=torch.float32) / count)
    return on_cpu.to(device)
