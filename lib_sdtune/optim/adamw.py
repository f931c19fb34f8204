"""AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), torch's own, fused where the device has it."""

import torch

from lib_sdtune.optim import registry


@registry.register("AdamW")
def adamw(groups, **arguments):
    try:
        return torch.optim.AdamW(groups, **({"fused": True} | arguments))
    except RuntimeError:  # torch 2.1 has no fused step on the CPU
        return torch.optim.AdamW(groups, **arguments)
