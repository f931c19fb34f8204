"""What devices can do, and what autocast is on, by their own answers and not by those of the current one."""

import pytest
import torch

from lib_sdtune.devices import autocast_dtype, has_autocast, without_autocast
from tests.pretended import pretended_cuda

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("name", ["mps", "privateuseone", "meta"])
def test_devices_without_autocast_are_asked_nothing(name):
    device = torch.device(name)
    assert not has_autocast(device) and autocast_dtype(device) is None
    with without_autocast(device):
        pass


def test_autocast_is_off_inside_and_on_again_afterwards():
    a = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        with without_autocast(CPU):
            assert (a @ a).dtype == torch.float32 and autocast_dtype(CPU) is None
        assert (a @ a).dtype == torch.bfloat16 == autocast_dtype(CPU)
    assert autocast_dtype(CPU) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_is_known_of_the_device_that_it_is_for(dtype):
    with pretended_cuda(), torch.autocast("cuda", dtype):
        assert autocast_dtype(CUDA) == dtype and autocast_dtype(CPU) is None
