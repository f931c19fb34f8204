"""--medvram: the WebUI keeps its parts in main memory, and a run fetches what its steps ask for, on a pretended card."""

import pytest
import torch

from lib_sdtune.config import Model
from tests.pretended import pretended_cuda


@pytest.fixture
def shuttled(host, monkeypatch):
    from modules import devices, shared

    monkeypatch.setattr(shared.sd_model, "lowvram", True)
    with pretended_cuda(), monkeypatch.context() as patch:
        patch.setattr(devices, "device", torch.device("cuda"))
        yield host


def present(model):
    return {name for name, module in model.modules() if next(module.parameters()).is_cuda}


@pytest.mark.parametrize(("idle", "resident"), [((), {"unet", "vae", "text_encoder_1"}), (["vae"], {"unet", "text_encoder_1"}),
                                                (["vae", "text_encoder"], {"unet"})])
def test_only_what_steps_ask_for_goes_to_the_card(shuttled, unchanged, idle, resident):
    with shuttled.borrow(Model(), idle) as model:
        assert present(model) == resident and model.device.type == "cuda"
        assert model.offloaded == [module for name, module in model.modules() if name not in resident]
        with shuttled.with_webui_state():
            assert not present(model)  # there the WebUI's own shuttle fetches what it needs
        assert present(model) == resident
    assert not present(model)


def test_without_the_flag_everything_is_there(shuttled, unchanged, monkeypatch):
    from modules import shared

    monkeypatch.setattr(shared.sd_model, "lowvram", False)
    with shuttled.borrow(Model(), ["vae", "text_encoder"]) as model:
        assert present(model) == {"unet", "vae", "text_encoder_1"} and not model.offloaded
