"""SDXL's timestep embedding during a training: the numbers that sgm gives, without its copy from the CPU in every forward."""

import math
import sys
from types import ModuleType

import pytest
import torch

from tests.pretended import pretended_cuda

NAME = "sgm.modules.diffusionmodules.openaimodel"


def of_sgm(timesteps, dim, max_period=10000, repeat_only=False):
    if repeat_only:
        return timesteps[:, None].expand(-1, dim)
    frequencies = torch.exp(-math.log(max_period) * torch.arange(dim // 2, dtype=torch.float32) / (dim // 2)).to(timesteps.device)
    angles = timesteps[:, None].float() * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


@pytest.fixture
def sgm(host, monkeypatch):
    module = ModuleType(NAME)
    monkeypatch.setattr(of_sgm, "__module__", "sgm.modules.diffusionmodules.util")
    module.timestep_embedding = of_sgm
    monkeypatch.setitem(sys.modules, NAME, module)
    return module


def test_it_gives_the_same_numbers_and_leaves_no_trace(sgm):
    from lib_sdtune.host.webui.neutral import timestep_embedding

    timesteps = torch.tensor([0, 1, 999])
    with timestep_embedding.on_device(None):
        assert sgm.timestep_embedding is not of_sgm
        assert torch.equal(sgm.timestep_embedding(timesteps, 320), of_sgm(timesteps, 320))
        assert torch.equal(sgm.timestep_embedding(timesteps, 4, repeat_only=True), of_sgm(timesteps, 4, repeat_only=True))
    assert sgm.timestep_embedding is of_sgm


def test_it_copies_nothing_from_the_cpu_after_the_first_time(sgm):
    from lib_sdtune.host.webui.neutral import timestep_embedding

    with pretended_cuda() as card, timestep_embedding.on_device(None):
        timesteps = torch.tensor([7]).to("cuda")
        for function, uploads in ((of_sgm, 2), (sgm.timestep_embedding, 1)):
            with card.counting() as counts:
                function(timesteps, 320)
                function(timesteps, 320)
            assert counts.total("uploads") == uploads


def test_what_another_extension_put_there_stays(sgm):
    from lib_sdtune.host.webui.neutral import timestep_embedding

    def of_an_extension(*arguments):
        return of_sgm(*arguments)

    sgm.timestep_embedding = of_an_extension
    with timestep_embedding.on_device(None):
        assert sgm.timestep_embedding is of_an_extension


def test_a_training_uses_it(host, sgm):
    from lib_sdtune.sections.model import Model

    with host.borrow(Model()):
        assert sgm.timestep_embedding is not of_sgm
    assert sgm.timestep_embedding is of_sgm
