"""Weights stored in eight bits cannot be trained on: their gradients have no meaning."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from modules import shared
from torch import nn

from lib_sdtune.errors import UserError

REMEDY = ("set Settings > Optimizations > FP8 weight to Disable (in Forge: Diffusion in Low Bits to Automatic), then "
          "start again")
TRAINABLE = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def refuse_fp8_setting(sd_version: str = "") -> None:
    """UserError where the settings have checkpoints stored so, also one that is loaded only later: all of them, or
    SDXL's. sd_version: which family's it is, as the WebUI calls it.
    """
    stored_so = ("Enable", "Enable for SDXL") if sd_version == "SDXL" else ("Enable",)
    if getattr(shared.opts, "fp8_storage", "Disable") in stored_so:
        raise UserError(f"The WebUI stores checkpoints as FP8; {REMEDY}.")


def refuse_low_bits(sd_model: nn.Module) -> None:
    """UserError for weights of eight bits or fewer, also those packed into whole numbers or kept in classes of their
    own, as Forge's "Diffusion in Low Bits" does.
    """
    for weight in sd_model.parameters():
        if "float8" in str(weight.dtype):
            raise UserError(f"The checkpoint is stored as FP8; {REMEDY}.")
        if weight.dtype not in TRAINABLE or type(weight) is not nn.Parameter:
            kind = type(weight).__name__ if weight.dtype in TRAINABLE else str(weight.dtype).removeprefix("torch.")
            raise UserError(f"The checkpoint is stored in low bits ({kind}), and nothing could be learned; "
                            f"{REMEDY}.")


@contextmanager
def trainable(sd_model: nn.Module) -> Iterator[None]:
    refuse_low_bits(sd_model)
    yield
