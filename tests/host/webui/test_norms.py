"""Normalisation of LDM's kind, which computes in float32, with weights of any format."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn


class GroupNorm32(nn.GroupNorm):
    """As latent diffusion has it."""

    def forward(self, x):
        return super().forward(x.float()).type(x.dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_the_same_normalisation_and_leaves_no_trace(host, dtype):
    from lib_sdtune.host.webui.neutral import norms

    torch.manual_seed(0)
    norm = GroupNorm32(4, 8)
    nn.init.normal_(norm.weight)
    unet, x = nn.Sequential(norm), torch.randn(2, 8, 4, 4)
    expected = unet(x)
    norm.to(dtype)
    with norms.in_float32(SimpleNamespace(model=SimpleNamespace(diffusion_model=unet))):
        output = unet(x.to(dtype).requires_grad_())
        output.sum().backward()
    assert output.dtype == dtype and torch.allclose(output.float(), expected, atol=0 if dtype == torch.float32 else 0.05)
    assert norm.weight.grad is not None and "forward" not in vars(norm)
