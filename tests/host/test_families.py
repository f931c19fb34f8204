"""Checkpoints of every family and variant in the embedded host: read by name, trained, written, and read again."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.families.variant import Variant
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.embedded import EmbeddedHost, addons
from lib_sdtune.prompts import tags
from lib_sdtune.sections.model import Model
from tests.checkpoints import V_YAML, host_of, write
from tests.hosts import settings, train
from tests.models import TINY, VARIANTS


@pytest.mark.parametrize("family", TINY)
def test_a_v_model_told_by_its_yaml_alone_is_trained_and_drawn_as_one(tmp_path, family):
    host = host_of(tmp_path, family, V_YAML[family])
    with host.borrow(Model()) as model:
        assert model.prediction_type == "v_prediction" and model.family.name == family
    with host.borrow(Model(prediction_type="epsilon")) as model:
        assert model.prediction_type == "epsilon"
    assert host.model().prediction_type == "v_prediction"
    plain = host_of(tmp_path / "plain", family)
    with plain.borrow(Model(prediction_type="v_prediction")) as model:
        assert model.prediction_type == "v_prediction"


def test_what_is_said_of_a_checkpoint_is_said_of_the_one_that_is_named(tmp_path):
    host = host_of(tmp_path, "sd1")
    write(tmp_path, "other", TINY["sdxl"](), V_YAML["sdxl"])
    assert host.defaults(Model(checkpoint="other"))["lora"] == {"text_encoder_lr": 0.0}
    assert "lora" not in host.defaults(Model())
    spec = host.model_spec(Model(checkpoint="other"))
    assert set(spec.shapes) == {"unet", "vae", "text_encoder_1", "text_encoder_2"}
    assert spec.variant.prediction_type == "v_prediction"


@pytest.mark.parametrize("variant", [Variant(), *VARIANTS.values()], ids=["plain", *VARIANTS])
@pytest.mark.parametrize("family", TINY)
def test_every_variant_draws(tmp_path, family, variant):
    yaml = V_YAML[family] if variant.prediction_type != "epsilon" else None
    host = host_of(tmp_path, family, yaml, variant)
    with host.borrow(Model()) as model:
        model.variant = model.variant.overridden(zero_terminal_snr=variant.zero_terminal_snr)
        assert model.variant == replace(variant, resolution=64)
        for sampler in ("Euler a", "DDIM"):
            image = next(iter(host.generate([SampleRequest("a cat", "", 2, width=64, height=72, sampler=sampler)])))
            low, high = image.convert("L").getextrema()
            assert image.size == (64, 72) and low < high  # neither black nor not a number


def test_zero_terminal_snr_is_refused_for_a_model_that_predicts_noise(tmp_path, images):
    host = host_of(tmp_path, "sdxl")
    with pytest.raises(UserError, match="needs a v-prediction model"):
        train(host, settings(images, noise={"zero_terminal_snr": True}))
    assert not (host.folder("sdtune") / "runs" / "ron").exists()


def test_a_checkpoint_comes_back_whole_with_what_tells_its_variant(tmp_path, images):
    host = host_of(tmp_path, "sdxl", V_YAML["sdxl"])
    before = load_file(host.checkpoint)
    config = settings(images, method="dreambooth", noise={"zero_terminal_snr": True},
                      dreambooth={"unet_lr": 1e-3, "text_encoder_lr": 1e-3, "lora_dim": 8})
    assert train(host, config).state == "finished"
    after, untouched = load_file(host.folder("checkpoints") / "ron.safetensors"), load_file(host.checkpoint)
    assert after.keys() - before.keys() == {"v_pred", "ztsnr"} and not before.keys() - after.keys()
    assert all(torch.equal(untouched[name], before[name]) for name in before)
    moved = {name for name in before if not torch.equal(after[name], before[name])}
    idle = ("conditioner.embedders.0.transformer.text_model.encoder.layers.2.", "logit_scale", "first_stage_model.",
            "conditioner.embedders.0.transformer.text_model.final_layer_norm")
    assert all(any(mark in name for mark in idle) for name in before.keys() - moved)
    again = EmbeddedHost(tmp_path, host.folder("checkpoints") / "ron.safetensors", device="cpu")
    assert again.model().variant == Variant("v_prediction", True, 4, 64)
    extracted = load_file(host.folder("lora") / "ron.safetensors")
    with host.borrow(Model()) as model:
        keys = {target.key for target in model.family.targets(model) if not target.unused}
        assert {name.split(".")[0] for name in extracted} == keys
        with addons.attached(model, host.folder, tags("<lora:ron:1>")[1]):
            pass


def test_the_files_say_what_they_are_for(tmp_path, images):
    host = host_of(tmp_path, "sd2", V_YAML["sd2"])
    assert train(host, Config.from_dict(settings(images), host.defaults(Model()))).state == "finished"
    with safe_open(host.folder("lora") / "ron.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata["ss_base_model_version"] == "sd_v2_v" and metadata["ss_v2"] == "True"
    assert metadata["modelspec.architecture"] == "stable-diffusion-v2-768-v/lora" and metadata["modelspec.prediction_type"] == "v"
    assert json.loads((host.folder("lora") / "ron.json").read_text())["sd version"] == "SD2"


def test_a_setting_that_the_family_does_not_hear_is_told(tmp_path, images, caplog):
    host = host_of(tmp_path, "sdxl")
    train(host, settings(images, model={"clip_skip": 2}, train={"max_train_steps": 1}))
    assert "nothing comes of it" in caplog.text


def test_an_embedding_of_two_tables_has_no_old_form(tmp_path, images):
    host = host_of(tmp_path, "sdxl")
    with pytest.raises(UserError, match="no .pt form"):
        train(host, settings(images, method="textual_inversion", textual_inversion={"token": "ron", "save_model_as": "pt"}))
    assert not (host.folder("sdtune") / "runs" / "ron").exists()


def test_a_ckpt_of_sdxl_is_trained_as_its_safetensors_is(tmp_path, images):
    """Nothing but the name of the checkpoint and its hash is other in the file."""
    written, yaml = [], V_YAML["sdxl"] | {"network_config": {"params": {"num_heads": 4}}}
    for ending in (".safetensors", ".ckpt"):
        host = host_of(tmp_path / ending, "sdxl", yaml, ending=ending)
        config = settings(images, train={"max_train_steps": 2})
        assert host.about()["family"] == "SDXL" and host.model().prediction_type == "v_prediction"
        assert train(host, config).state == "finished"
        written.append(load_file(host.folder("lora") / "ron.safetensors"))
    of_ckpt, of_safetensors = written
    assert of_ckpt.keys() == of_safetensors.keys() and all(torch.equal(of_ckpt[name], of_safetensors[name]) for name in of_ckpt)
