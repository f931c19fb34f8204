"""Tells a UNet that answers with a velocity from one that answers with noise, by asking it: what the WebUI does for
Stable Diffusion 2.

At the last timestep a picture is nearly all noise, so a UNet that predicts noise answers about what it is given.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from lib_sdtune.ldm import architecture, checkpoint

GROUPS = 32  # of the UNet's normalisation
THRESHOLD = -1  # the WebUI's (modules/sd_models_config.py)


@torch.no_grad()
def velocity(unet: Any, width: int) -> bool:
    """Whether a UNet that listens to text of this width answers with a velocity."""
    weight = next(unet.parameters())
    side = 8 if unet.model_channels > GROUPS else 16  # the smallest that every level can normalise
    x = torch.full((1, 4, side, side), 0.5, device=weight.device, dtype=weight.dtype)
    context = torch.full((1, 2, width), 0.5, device=weight.device, dtype=weight.dtype)
    answer = unet(x, torch.tensor([999], device=weight.device), context=context)
    return float((answer - x).float().mean()) < THRESHOLD


def answers_velocity(path: Path) -> bool:
    """The same of a checkpoint's file; its UNet is read for it, once as long as the file is the same."""
    about = path.stat()
    return _answers_velocity(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=16)
def _answers_velocity(path: Path, changed: int, size: int) -> bool:
    tensors, metadata = checkpoint.read(path)
    unet = architecture.assemble(
        tensors, architecture.UNET_PART, architecture.overrides(metadata).get("unet", {}), torch.float32
    )
    return velocity(unet, architecture.unet_sizes(unet.state_dict())["context_dim"])
