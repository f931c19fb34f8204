"""--medvram: the WebUI keeps its parts in main memory, and a run fetches what its steps ask for, on a pretended card."""

import pytest
import torch

from lib_sdtune.errors import RunError
from lib_sdtune.sections.model import Model
from tests.pretended import pretended_cuda


@pytest.fixture
def shuttled(host, monkeypatch):
    from modules import devices, shared

    monkeypatch.setattr(shared.sd_model, "lowvram", True)
    with pretended_cuda() as card, monkeypatch.context() as patch:
        patch.setattr(devices, "device", torch.device("cuda"))
        host.card = card
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


def test_a_card_too_full_for_the_parts_leaves_all_of_them_where_they_were(shuttled, unchanged):
    from modules import shared

    shuttled.card.limit = sum(tensor.nbytes for tensor in shared.sd_model.model.diffusion_model.parameters()) + 4096
    with pytest.raises(torch.cuda.OutOfMemoryError), shuttled.borrow(Model()):
        pass
    assert not any(tensor.is_cuda for tensor in [*shared.sd_model.parameters(), *shared.sd_model.buffers()])


def test_a_weight_that_finds_no_room_on_the_card_keeps_no_other_from_going_back(shuttled, monkeypatch):
    """What was said first is no longer to be heard; this says the same."""
    from modules import shared

    monkeypatch.setattr(shared.sd_model, "lowvram", False)
    unet = shared.sd_model.model.diffusion_model.to("cuda")
    first, *_, last = unet.parameters()
    learns = last.requires_grad
    try:
        with pytest.raises(RunError, match="close that program, then choose another checkpoint"), shuttled.borrow(Model()):
            first.data, last.requires_grad = first.data.to("cpu"), not learns
            shuttled.card.limit = 0
        assert not first.is_cuda and last.is_cuda and last.requires_grad == learns
    finally:
        shuttled.card.limit = None
        unet.to("cpu")


def held_on_card(tensors):
    """Bytes of pretended GPU memory, each storage counted once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors if tensor.device.type == "cuda"}
    return sum(storages.values())


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_weights_that_were_lent_hold_no_memory_beside_the_model(shuttled, tmp_path, precision):
    """DreamBooth, whose own weights wait in a file: twice the UNet would not fit where --medvram is needed."""
    from lib_sdtune.config import Config
    from lib_sdtune.methods import registry as methods

    config = Config.from_dict({"name": "ron", "method": "dreambooth", "concepts": [{"images": str(tmp_path), "prompt": "a ron dog"}],
                               "dreambooth": {"text_encoder_lr": 0}, "train": {"mixed_precision": precision}})
    with shuttled.borrow(Model(), ["vae", "text_encoder"]) as model:
        method = methods["dreambooth"](config, model)
        method.make_room = lambda: None

        def weights():
            return [*method.lent.tensors.values(), *model.unet.parameters()]

        size = held_on_card(model.unet.parameters())
        with method.prepared(tmp_path / "kept"):
            with method.attached():
                assert held_on_card(weights()) <= size
                with method.sampling(), shuttled.with_webui_state():
                    assert held_on_card(weights()) == 0
                assert held_on_card(weights()) <= size
                method.before_detach()
            with shuttled.lent_to_others():
                assert held_on_card(weights()) == 0
            assert held_on_card(weights()) == size
            with method.attached():
                assert held_on_card(weights()) <= size
                method.before_detach()
