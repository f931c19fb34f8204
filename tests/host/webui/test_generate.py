"""Samples: the WebUI's own sampler, with the add-on on, and no trace left."""

from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
import webui_probe

from lib_sdtune.host.base import SampleRequest
from lib_sdtune.networks.base import Adapter, applied
from lib_sdtune.networks.lora import LoRA
from lib_sdtune.sections.model import Model
from lib_sdtune.training.convolutions import fastest_convolutions


def asked(prompt="a cat", **changes):
    return SampleRequest(prompt, steps=webui_probe.STEPS, cfg_scale=4, seed=1, width=webui_probe.SIZE, height=webui_probe.SIZE, sampler="Euler", **changes)


class Shift(Adapter):
    def forward(self, x):
        return x.square().sum(-1, keepdim=True)  # a plain sum is nothing after a normalisation


def files():
    from modules import paths

    return {path: path.stat().st_mtime_ns for path in Path(paths.data_path).rglob("*") if path.is_file() and "cache" not in str(path)}


def test_a_sample_is_what_generate_would_make(host):
    expected = webui_probe.draw()
    image = next(host.generate([asked()]))
    assert (numpy.asarray(image) == expected).all()
    assert "Steps: 2" in image.info["parameters"] and "Seed: 1" in image.info["parameters"]


def test_a_picture_is_drawn_after_a_prompt_that_left_its_hypernetwork_on_the_layers(host, request):
    from modules.sd_hijack import model_hijack

    model_hijack.apply_optimizations("None")  # the one attention that hangs them there
    request.addfinalizer(model_hijack.apply_optimizations)
    webui_probe.make_hypernetwork("left")
    webui_probe.draw("a cat <hypernet:left:1>")
    assert hasattr(webui_probe.weight("diffusion_model.middle_block.1.transformer_blocks.0.attn2"), "hyper_k")
    assert (numpy.asarray(next(host.generate([asked()]))) == webui_probe.draw()).all()


def test_what_is_attached_shows_and_training_goes_on_bare_of_it(host):
    bare, before, present = webui_probe.draw(), webui_probe.fingerprint(), files()
    with host.borrow(Model()) as model:
        layer = webui_probe.weight("diffusion_model.output_blocks.3.1.transformer_blocks.0.attn2.to_v")
        straight = layer(torch.ones(1, layer.in_features))
        with applied([(layer, Shift(layer, 1, 1.0))]):
            bent_answer = layer(torch.ones(1, layer.in_features))
            drawn = [numpy.asarray(image) for image in host.generate([asked(), asked("a dog")])]
            assert torch.equal(layer(torch.ones(1, layer.in_features)), bent_answer)
        plain = numpy.asarray(next(host.generate([asked()])))
        assert torch.equal(layer(torch.ones(1, layer.in_features)), straight)
        assert type(model.text_encoders[0].text_model.embeddings.token_embedding) is torch.nn.Embedding
    assert (drawn[0] != bare).any() and (drawn[0] != drawn[1]).any()
    assert (plain == bare).all()
    assert webui_probe.differences(before, webui_probe.fingerprint()) == []
    assert files() == present, "samples must not end up among the user's pictures or in the prompt history"


def test_what_a_run_sets_for_the_process_outlives_a_sample(host):
    """The convolutions' choice above all: it makes every later step faster."""
    with host.borrow(Model()), fastest_convolutions(torch.device("cuda")):
        before = torch.backends.cudnn.benchmark
        next(host.generate([asked()]))
        assert torch.backends.cudnn.benchmark is before is True
    assert torch.backends.cudnn.benchmark is False


def test_tf32_comes_back_whichever_names_of_torch_set_it(host):
    """Since 2.9 torch refuses to read `allow_tf32` where somebody has used the newer names."""
    matmul = torch.backends.cuda.matmul
    if not hasattr(matmul, "fp32_precision"):
        pytest.skip("this torch has the older names alone")
    before = matmul.allow_tf32
    try:
        matmul.fp32_precision = "tf32"
        with host.borrow(Model()):
            matmul.fp32_precision = "ieee"
            next(host.generate([asked()]))
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.allow_tf32 = before
    with host.borrow(Model()):
        matmul.allow_tf32 = not before
    assert matmul.allow_tf32 is before


def test_warnings_of_operators_that_are_not_deterministic_stay_warnings(host):
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with host.borrow(Model()):
            torch.use_deterministic_algorithms(True)
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_what_nobody_changed_is_not_set_again(host, monkeypatch):
    """It would import torch's compiler while somebody waits for a picture."""
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *_, **__: pytest.fail("it was set"))
    with host.borrow(Model()), host.lent_to_others():
        pass


def test_a_sample_prompt_may_name_loras_and_hypernetworks(host):
    webui_probe.make_lora("extra", seed=4)
    expected = webui_probe.draw("a cat <lora:extra:1>")
    with host.borrow(Model()) as model:
        bare = webui_probe.weight().weight.clone()
        drawn = numpy.asarray(next(host.generate([asked("a cat <lora:extra:1>")])))
        assert torch.equal(webui_probe.weight().weight, bare), "the LoRA of a sample prompt must not stay in the weights"
        assert model is host.borrowed.loaded_model
    assert (drawn == expected).all()


def test_a_lora_of_a_sample_prompt_reaches_layers_that_are_being_trained(host):
    webui_probe.make_lora("extra", seed=4)
    expected = webui_probe.draw("a cat <lora:extra:1>")
    layer = webui_probe.weight()
    with host.borrow(Model()), applied([(layer, LoRA(layer, 2, 2.0))], multiplier=0.0):
        drawn = numpy.asarray(next(host.generate([asked("a cat <lora:extra:1>")])))
    assert (drawn == expected).all()


def test_a_sample_prompt_may_name_an_embedding_in_the_making(host):
    bare = webui_probe.draw("a zzz")
    with host.borrow(Model()) as model:
        width = model.text_encoders[0].text_model.embeddings.token_embedding.embedding_dim
        model.embeddings["zzz"] = torch.randn(1, width)
        drawn = numpy.asarray(next(host.generate([asked("a zzz")])))
    assert (drawn != bare).any()
    assert (webui_probe.draw("a zzz") == bare).all(), "it must be forgotten with the run"


@pytest.mark.parametrize("when", ["before the first step", "in the middle"])
def test_interrupt_ends_the_samples_and_not_the_run(host, monkeypatch, when):
    """In the middle the WebUI gives back what is half drawn; that is no class picture."""
    from modules import processing, shared

    def interrupted(p):
        if when == "in the middle":
            processed = original(p)
            shared.state.interrupt()
            return processed
        shared.state.interrupt()
        return original(p)

    original = processing.process_images
    monkeypatch.setattr(processing, "process_images", interrupted)
    with host.borrow(Model()):
        assert list(host.generate([asked(), asked()])) == []
        assert shared.state.interrupted is False
        assert not webui_probe.free()


FROZEN = {
    "all of them": {"freeze_settings": True},
    "their sections": {"freeze_settings_in_sections": "sd,sampler-params"},
    "one by one": {"freeze_specific_settings": "sd_unet,sd_noise_schedule"},
    "hidden folders": {"hide_ui_dir_config": True},
    "none": {},
}


@pytest.mark.parametrize("hidden", [False, True], ids=["shown", "hidden"])
@pytest.mark.parametrize("arguments", FROZEN.values(), ids=FROZEN)
def test_pictures_are_drawn_whatever_settings_are_frozen_or_hidden(host, monkeypatch, arguments, hidden):
    from modules import processing, shared

    expected, before, settings = webui_probe.draw(), dict(shared.opts.data), []
    for name, value in arguments.items():
        monkeypatch.setattr(shared.cmd_opts, name, value)
    monkeypatch.setattr(shared.opts.data_labels["sd_unet"], "component_args", {"visible": not hidden})
    draw = processing.process_images_inner

    def drawn(p):
        settings.append((shared.opts.sd_unet, shared.opts.data.get("sd_noise_schedule")))
        return draw(p)

    monkeypatch.setattr(processing, "process_images_inner", drawn)
    class_picture = numpy.asarray(next(host.generate([asked()])))
    with host.borrow(Model()) as model:
        sample = numpy.asarray(next(host.generate([asked()])))
        model.variant = replace(model.variant, zero_terminal_snr=True)
        next(host.generate([asked()]))
    assert (class_picture == expected).all() and (sample == expected).all()
    assert [unet for unet, _ in settings[1:]] == ["None", "None"] and settings[2][1] == "Zero Terminal SNR"
    assert shared.opts.data == before


def test_tags_that_the_webui_has_no_file_for_are_known_before(host, tmp_path):
    import networks
    from modules import shared

    webui_probe.make_hypernetwork("here")
    new = host.folder("lora") / "new.safetensors"  # not listed as yet: the WebUI looks for it when a prompt asks
    new.parent.mkdir(parents=True, exist_ok=True)
    new.write_bytes(b"")
    try:
        assert host.unknown_tags("a <b> cat <hypernet:here:1><lora:new:1> <segment:face>") == []
        assert host.unknown_tags("a cat <lora:ronn:0.8:1> <hypernet:nobody>") == ["<lora:ronn>", "<hypernet:nobody>"]
        assert "here" in shared.hypernetworks and "ronn" not in networks.available_networks
    finally:
        new.unlink()
