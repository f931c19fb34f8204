"""AdamW with the arguments of torch's own that exclude its fused step."""

import pytest
import torch

from lib_sdtune import optim

CUDA = torch.device("cuda")


@pytest.mark.parametrize("argument", ["foreach", "differentiable"])
def test_what_torch_refuses_beside_fused_is_taken_without_it(argument):
    arguments = {argument: True}
    group = optim.make("AdamW", arguments, [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1e-3}]).param_groups[0]
    assert group[argument] and not group["fused"] and not optim.supports_found_inf("AdamW", arguments, CUDA)


@pytest.mark.parametrize("arguments", [{}, {"foreach": False}, {"foreach": None}, {"amsgrad": True}])
def test_it_is_fused_otherwise(arguments):
    """And leaves a step out by itself where a tensor of the device says so."""
    assert optim.supports_found_inf("AdamW", arguments, CUDA)
    optim.check("AdamW", arguments)


def test_a_step_that_is_not_fused_leaves_nothing_out_by_itself():
    assert not optim.supports_found_inf("AdamW", {"fused": False}, CUDA)
