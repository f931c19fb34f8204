"""Stable Diffusion XL: the forks have its second text encoder under other names than its files."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lib_sdtune.errors import UserError
from lib_sdtune.families.sdxl import SDXL
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.sections.model import Model
from tests.host.forks import probe
from tests.host.forks.test_runs import WORN, config, images, same_files  # noqa: F401 - a fixture
from tests.hosts import train
from tests.models import SHALLOW

TEXT = {"unet_lr": 0.02, "text_encoder_lr": 0.02}


@pytest.fixture
def xl(host, fork):
    """The host with Stable Diffusion XL in it, of which one picture has been made."""
    with probe.chosen(fork, "xl.safetensors"):
        probe.draw()
        yield host


def source():
    from modules import sd_models

    return load_file(sd_models.checkpoints_list["xl.safetensors"].filename)


def test_the_towers_answer_as_those_of_the_file(xl):
    """In float32 where the fork keeps them so; Forge keeps them in half precision."""
    exact = SHALLOW["sdxl"]()
    expected = exact.family.encode_text(exact, ["a cat", ""])
    with xl.borrow(Model()) as model:
        conditioning = model.family.encode_text(model, ["a cat", ""])
        assert isinstance(model.family, SDXL)
        precision = {"atol": 0.02} if model.text_encoders[1].text_model.final_layer_norm.weight.dtype == torch.float16 else {"atol": 1e-5}
    assert torch.allclose(conditioning.context, expected.context, **precision) and torch.allclose(conditioning.vector, expected.vector, **precision)


@pytest.mark.parametrize("method", ["lora", "dreambooth", "textual_inversion"])
def test_a_run_gives_back_bits_objects_and_pictures(xl, images, method):  # noqa: F811
    plain, bits = probe.draw(), probe.bits(probe.objects())
    with xl.borrow(Model()):
        pass
    objects = probe.objects()
    samples = {"prompts": ["a cat"], "every_n_steps": 1, "steps": 1}
    control = train(xl, config(images, f"xl {method}"[:10], method, sample=samples, **({"lora": TEXT} if method == "lora" else {})))
    assert control.state == "finished" and control.step == 2
    assert all(tensor is objects[name] for name, tensor in probe.objects().items())
    assert probe.bits(probe.objects()) == bits and (probe.draw() == plain).all()


def test_a_lora_of_both_encoders_fits_whole_and_shows_in_pictures_and_samples(xl, images):  # noqa: F811
    samples = {"prompts": ["a cat"], "every_n_steps": 1, "steps": 1}
    control = train(xl, config(images, "xl worn", lora={"unet_lr": 0, "text_encoder_lr": 0.05}, sample=samples))
    tensors = load_file(control.artefacts[0])
    second = {key for key in tensors if key.startswith("lora_te2_text_model_encoder_layers_2_self_attn_q_proj")}
    assert len(second) == 3 and all(key.startswith(("lora_te1_", "lora_te2_")) for key in tensors)
    assert len({Path(sample).read_bytes() for sample in control.samples}) == 2
    assert (probe.draw("a cat <lora:xl worn:1>") != probe.draw("a cat")).any()


def test_a_trained_checkpoint_has_the_names_of_its_source(xl, images):  # noqa: F811
    control = train(xl, config(images, "xl dreambooth", "dreambooth", dreambooth={"unet_lr": 0, "text_encoder_lr": 1e-3}))
    trained, original = load_file(control.artefacts[0]), source()
    second = "conditioner.embedders.1.model."
    assert {name: tensor.shape for name, tensor in trained.items()} == {
        name: tensor.shape for name, tensor in original.items() if name in trained}
    assert {name.removeprefix(second) for name in original.keys() - trained.keys()} == {"logit_scale"}, "which nobody reads"
    change = {name: (trained[name] - original[name]).abs().max() for name in trained}
    assert change[f"{second}transformer.resblocks.0.attn.in_proj_weight"] > 1e-3 and max(change.values()) < 5e-3
    assert change[f"{second}text_projection"] > 1e-6


def test_an_embedding_is_drawn_with_both_tables(xl, images):  # noqa: F811
    control = train(xl, config(images, "xlword", "textual_inversion"))
    assert {key: tuple(rows.shape) for key, rows in load_file(control.artefacts[0]).items()} == {"clip_l": (1, 12), "clip_g": (1, 16)}
    assert (probe.draw("a xlword") != probe.draw("a xlwore")).any()
    with xl.borrow(Model()) as model:
        assert model.embeddings["xlword"].shape == (1, 28)
        assert len(list(xl.generate([SampleRequest(prompt="a xlword", steps=1, width=64, height=64)]))) == 1


def test_a_changed_third_of_a_projection_is_told_by_its_name(xl):
    layer = probe.parts()["text"].clip_g.transformer.text_model.encoder.layers[1].self_attn.v_proj
    with torch.inference_mode(layer.weight.is_inference()):
        layer.weight += 0.25
    try:
        with pytest.raises(UserError, match="layers.1.self_attn.v_proj.weight does not hold what xl.safetensors holds"), xl.borrow(Model()):
            pass
    finally:
        with torch.inference_mode(layer.weight.is_inference()):
            layer.weight -= 0.25


def test_a_checkpoint_of_another_family_is_trained_while_this_one_is_chosen(xl, images):  # noqa: F811
    control = train(xl, config(images, "one", model={"checkpoint": "one"}))
    assert control.state == "finished" and not any("te2" in key for key in load_file(control.artefacts[0]))
    control = train(xl, config(images, "xl again"))
    assert any(key.startswith("lora_unet_input_blocks") for key in load_file(control.artefacts[0]))
