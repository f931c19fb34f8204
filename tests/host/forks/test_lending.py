"""The steps of lending, one by one: what is refused, in which order things come off, and whose objects stand where."""

import threading
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from lib_sdtune.errors import UserError
from lib_sdtune.sections.model import Model
from tests.host.forks import probe
from tests.waiting import until


@pytest.fixture
def born_in_inference(fork):
    with torch.inference_mode():
        model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
        model.register_buffer("places", torch.arange(3))
        model[1].twin = nn.Module()
        model[1].twin.weight = model[0].weight
    return model


def test_ours_are_normal_over_the_same_memory_and_theirs_come_back(born_in_inference):
    from lib_sdtune.host.webui.forks.lent_parameters import LentParameters

    model = born_in_inference
    theirs = dict(model.state_dict(keep_vars=True))
    with LentParameters().lent(model):
        ours = model.state_dict(keep_vars=True)
        assert model[1].twin.weight is model[0].weight
        for name, tensor in ours.items():
            assert tensor is not theirs[name] and not tensor.is_inference() and tensor.data_ptr() == theirs[name].data_ptr()
        model[0].weight.requires_grad_(True)
        model(torch.ones(1, 3)).square().sum().backward()
        assert model[0].weight.grad is not None
        with torch.no_grad():
            model[0].weight.fill_(2.0)
    assert all(tensor is theirs[name] for name, tensor in model.state_dict(keep_vars=True).items())
    assert model[0].weight.eq(2).all(), "what is written into ours is in theirs"
    with torch.inference_mode():
        model(torch.ones(1, 3))


def test_moved_cast_and_exchanged_parameters_are_ours_again_after_a_picture(born_in_inference):
    from lib_sdtune.host.webui.forks.lent_parameters import LentParameters

    model, parameters = born_in_inference, LentParameters()
    theirs = dict(model.state_dict(keep_vars=True))
    with parameters.lent(model):
        ours = dict(model.state_dict(keep_vars=True))
        with torch.inference_mode():
            model.to(torch.float64).to(torch.float32)  # as a move does
            model[0].bias = nn.Parameter(model[0].bias + 1, requires_grad=False)
        expected = model[0].bias.clone()
        parameters.settle()
        assert all(tensor is ours[name] and not tensor.is_inference() for name, tensor in model.state_dict(keep_vars=True).items())
        assert torch.equal(model[0].bias, expected)
    with parameters.lent(model):
        assert all(tensor is ours[name] for name, tensor in model.state_dict(keep_vars=True).items()), "for optimizers"
    assert all(tensor is theirs[name] for name, tensor in model.state_dict(keep_vars=True).items())
    assert torch.equal(model[0].bias, expected)


def test_loras_come_off_before_parameters_are_lent_and_those_before_the_structure_is_noted(host, monkeypatch):
    from lib_sdtune.host.webui import host as host_module
    from lib_sdtune.host.webui import structure
    from lib_sdtune.host.webui.forks.lent_parameters import LentParameters

    order = []

    def noted(owner, name, word):
        function = getattr(owner, name)

        def inside(*arguments, **kwargs):
            order.append(word)
            return function(*arguments, **kwargs)

        monkeypatch.setattr(owner, name, inside)

    noted(type(host.fork), "unload_patches", "unload_patches")
    noted(LentParameters, "put_in_place", "lend")
    noted(LentParameters, "give_back", "give back")
    noted(structure.Structure, "__init__", "note")
    noted(structure.Structure, "restore", "restore")
    noted(host_module, "neutral", "neutral")
    with host.borrow(Model()):
        assert order == ["unload_patches", "lend", "note", "neutral"]
    assert order[4:] == ["restore", "give back"]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float8_e4m3fn])
def test_weights_in_low_bits_are_refused_and_left_alone(host, dtype):
    layer = probe.parts()["unet"].diffusion_model.input_blocks[0][0]
    weight = layer.weight
    layer.weight = nn.Parameter(weight.detach().clone().to(dtype), requires_grad=False)
    try:
        with pytest.raises(UserError, match="low bits|FP8"):
            host.check(Model())
        with pytest.raises(UserError, match="low bits|FP8"), host.borrow(Model()):
            pass
    finally:
        layer.weight = weight


def test_other_families_are_refused_before_anything_is_queued(host, monkeypatch):
    from lib_sdtune.families import registry
    from lib_sdtune.host.webui import model

    sd2 = registry["sd2"]
    monkeypatch.setattr(model, "detected", lambda *arguments: (sd2, None))
    with pytest.raises(UserError, match="this one is SD2"):
        host.check(Model())
    assert "Stable Diffusion 1 and XL alone" in host.about()["problem"]


def test_another_checkpoint_is_refused_to_pictures_meanwhile(host, fork):
    from modules import sd_models

    mine = host.fork.checkpoint()
    other = next(info for info in sd_models.checkpoints_list.values() if info.filename != mine.filename)
    plain, answers = probe.draw(), []

    def user():
        with pytest.raises(RuntimeError, match="SD Tune is using"):
            ask_for(fork, other)
        answers.append(True)

    with host.borrow(Model()):
        thread = threading.Thread(target=user)
        thread.start()
        until(host.lock.waiting)
        host.yield_to_queue(nullcontext)
        thread.join()
    assert answers == [True]
    if fork == "backend":
        sd_models.model_data.forge_loading_parameters = sd_models.model_data.forge_loading_parameters | {"checkpoint_info": mine}
    assert (probe.draw() == plain).all()


def ask_for(fork, info):
    """A picture with another checkpoint, as the page asks for one."""
    from modules import sd_models

    if fork == "backend":
        sd_models.model_data.forge_loading_parameters = sd_models.model_data.forge_loading_parameters | {"checkpoint_info": info}
        probe.draw()
    else:
        probe.draw(sd_model_checkpoint=info.title)
