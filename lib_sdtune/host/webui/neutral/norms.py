"""The UNet's normalisation computes in float32 with its weights as they are, which the CPU refuses for halves."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from lib_sdtune.swap import replaced


@contextmanager
def in_float32(sd_model: nn.Module) -> Iterator[None]:
    with ExitStack() as stack:
        for module in sd_model.model.diffusion_model.modules():
            if type(module).__name__ == "GroupNorm32":
                stack.enter_context(replaced(module, "forward", partial(forward, module)))
        yield


def forward(module: nn.GroupNorm, x: torch.Tensor) -> torch.Tensor:
    weight, bias = module.weight.float(), module.bias.float()
    return functional.group_norm(x.float(), module.num_groups, weight, bias, module.eps).type(x.dtype)
