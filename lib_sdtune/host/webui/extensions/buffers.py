"""Tables that no checkpoint holds and a training reads all the same: the noise schedule, and the places of tokens."""

import torch
from torch import nn

from lib_sdtune.errors import UserError
from lib_sdtune.host.webui.extensions.refusals import REMEDY
from lib_sdtune.host.webui.parts import text_towers

TOLERANCE = 0.02  # relative: --half rounds the betas, and the schedule is their product over a thousand steps


def refuse_exchanged(sd_model: nn.Module, schedule_stored: bool) -> None:
    """UserError that names the first one whose numbers are not the WebUI's.

    schedule_stored: the checkpoint brings a schedule of its own, which need not agree with the model's betas.
    """
    schedule, betas = (getattr(sd_model, name, None) for name in ("alphas_cumprod_original", "betas"))
    if not schedule_stored and schedule is not None and betas is not None:
        expected = torch.cumprod(1 - betas.cpu().double(), 0)  # MPS has no float64
        if not torch.allclose(schedule.cpu().double(), expected, rtol=TOLERANCE, atol=0):
            raise exchanged("alphas_cumprod_original, the noise schedule,")
    for tower in text_towers(sd_model):
        for name, numbers in tower.named_buffers():
            if name.endswith("position_ids") and numbers.flatten().tolist() != list(range(numbers.numel())):
                raise exchanged(name)


def exchanged(name: str) -> UserError:
    return UserError(f"{name} does not hold the WebUI's own numbers: another extension exchanged it; {REMEDY}.")
