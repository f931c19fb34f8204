"""What devices can do, and what autocast is on, by their own answers and not by those of the current one."""

from types import SimpleNamespace

import pytest
import torch

from lib_sdtune.devices import autocast_dtype, empty_cache, has_autocast, has_bfloat16, without_autocast
from lib_sdtune.training.convolutions import fastest_convolutions
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


@pytest.mark.parametrize(("architecture", "capability", "expected"), [
    ("gfx1030", (10, 3), False), ("gfx1100", (11, 0), True), ("gfx1201", (12, 0), True), ("gfx906:sramecc+:xnack-", (9, 0), False),
    ("gfx90a:sramecc+:xnack-", (9, 0), True), ("gfx942", (9, 4), True)])
def test_amd_cards_compute_in_bfloat16_since_rdna_3_and_the_first_instinct(monkeypatch, architecture, capability, expected):
    with pretended_cuda(capability=capability):
        monkeypatch.setattr(torch.version, "hip", "6.0")
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(gcnArchName=architecture))
        assert has_bfloat16(CUDA) is expected
    monkeypatch.undo()


@pytest.mark.parametrize("name", ["mps", "xpu", "cuda"])
def test_what_the_allocator_keeps_is_given_back_on_every_device(monkeypatch, name):
    emptied = []
    monkeypatch.setattr(torch, name, SimpleNamespace(empty_cache=lambda: emptied.append(name)), raising=False)
    empty_cache(torch.device(name))
    for other in ("cpu", "privateuseone"):
        empty_cache(torch.device(other))
    assert emptied == [name]


@pytest.mark.parametrize(("hip", "expected"), [(None, True), ("6.0", False)])
def test_miopen_is_asked_for_no_exhaustive_search(monkeypatch, hip, expected):
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    with fastest_convolutions(CUDA):
        assert torch.backends.cudnn.benchmark is expected
    assert not torch.backends.cudnn.benchmark


@pytest.mark.parametrize("current", [0, 1])
def test_bfloat16_is_asked_of_the_card_that_trains(monkeypatch, current):
    """The WebUI's --device-id trains on another card than the current one, which is all that torch's own question is about."""
    capabilities = [(7, 5), (8, 6)]

    def capability_of(number=None):
        return capabilities[torch.cuda.current_device() if number is None else number]

    with pretended_cuda(count=2), monkeypatch.context() as patch:
        torch.cuda.set_device(current)
        patch.setattr(torch.cuda, "get_device_capability", capability_of)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda *_: capability_of() >= (8, 0))  # as torch 2.1
        assert [has_bfloat16(torch.device("cuda", number)) for number in (0, 1)] == [False, True]
        assert has_bfloat16(CUDA) == bool(current)
