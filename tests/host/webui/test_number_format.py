"""Number formats of a WebUI on a GPU: weights that were loaded as halves, and a VAE that it turns to float32 by itself."""

import sys

import pytest
import torch
import webui_probe

from lib_sdtune.config import Config
from lib_sdtune.training.run import run
from lib_sdtune.training.runs import begin
from tests.hosts import pictures

METHODS = {"lora": {"dim": 2, "alpha": 2, "unet_lr": 0.05, "text_encoder_lr": 0.01}, "dreambooth": {"unet_lr": 1e-3, "text_encoder_lr": 1e-3},
           "textual_inversion": {"token": "zwx", "lr": 0.1}, "hypernetwork": {"lr": 1e-2}}


def settings(tmp_path, method="lora", **changes):
    prompt = "subject_filewords.txt" if method == "textual_inversion" else "a photo of a ron cat"
    return {"name": f"halves {method}", "overwrite": True, "method": method,
            "concepts": [{"images": str(pictures(tmp_path / "ron", count=2, size=(64, 64))), "prompt": prompt, "class_prompt": "a photo of a cat"}],
            "dataset": {"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 128}, method: METHODS[method],
            "train": {"max_train_steps": 2, "mixed_precision": "no"}, "save": {"state_every_n_steps": 0, "precision": "float"}, **changes}


def train(host, config):
    config = Config.from_dict(config)
    control = begin(config, host)
    run(config, host, control)
    return control


@pytest.fixture
def halves(host, monkeypatch):
    """The model as a WebUI on a GPU has it: halves, and what the UNet reads is cast to them. Gives the UNet."""
    from modules import devices, shared

    unet, text_encoder = shared.sd_model.model.diffusion_model, shared.sd_model.cond_stage_model
    before = {tensor: tensor.data for module in (unet, text_encoder) for tensor in module.parameters()}
    for tensor in before:
        tensor.grad = None  # what another test has left is of the format before
        tensor.data = tensor.data.half()
    monkeypatch.setattr(devices, "dtype_unet", torch.float16)
    monkeypatch.setattr(unet, "dtype", torch.float16)  # SD2's configuration has `use_fp16`
    module = sys.modules[type(unet).__module__]
    embed = module.timestep_embedding
    monkeypatch.setattr(module, "timestep_embedding", lambda *args, **kwargs: embed(*args, **kwargs).to(devices.dtype_unet))
    yield unet
    for tensor, data in before.items():
        tensor.data = data


@pytest.mark.parametrize("method", METHODS)
def test_float32_is_computed_with_weights_that_were_loaded_as_halves(halves, host, tmp_path, method):
    from modules import devices

    control = train(host, settings(tmp_path, method))
    assert control.state == "finished" and control.loss == control.loss
    assert {tensor.dtype for tensor in halves.parameters()} == {devices.dtype_unet} == {halves.dtype} == {torch.float16}
    assert not halves._forward_pre_hooks


def turns_vae_to_float32(monkeypatch):
    """As `processing.decode_latent_batch` does where a half VAE gives no numbers. Returns the list of times that it did."""
    from modules import devices, processing, shared

    process, times = processing.process_images, []

    def process_images(p):
        if devices.dtype_vae != torch.float32:
            times.append(p.prompt)
            devices.dtype_vae = torch.float32
            shared.sd_model.first_stage_model.to(devices.dtype_vae)
        return process(p)

    monkeypatch.setattr(processing, "process_images", process_images)
    return times


@pytest.fixture
def vae(host, monkeypatch):
    """A VAE in half precision. Gives its first weight."""
    from modules import devices, shared

    module = shared.sd_model.first_stage_model
    before = {tensor: tensor.data for tensor in module.parameters()}
    monkeypatch.setattr(devices, "dtype_vae", torch.bfloat16)
    module.to(torch.bfloat16)
    yield next(module.parameters())
    module.to(torch.float32)
    for tensor, data in before.items():
        tensor.data = data


def test_a_vae_that_the_webui_turns_to_float32_in_a_sample_stays_so(vae, host, tmp_path, monkeypatch):
    from modules import devices

    times = turns_vae_to_float32(monkeypatch)
    sample = {"prompts": ["a cat"], "every_n_steps": 1, "steps": 2, "width": 64, "height": 64}
    control = train(host, settings(tmp_path, sample=sample, train={"max_train_steps": 2}))
    assert control.state == "finished" and len(times) == 1
    assert vae.dtype == devices.dtype_vae == torch.float32
    webui_probe.draw()


def test_it_stays_so_between_pictures_that_are_drawn_without_a_training(vae, host, monkeypatch):
    from modules import devices

    from lib_sdtune.host.base import SampleRequest

    times = turns_vae_to_float32(monkeypatch)
    request = SampleRequest("a cat", steps=2, cfg_scale=4, seed=1, width=64, height=64, sampler="Euler")
    assert len(list(host.generate([request] * 3))) == 3 and len(times) == 1
    assert vae.dtype == devices.dtype_vae == torch.float32


def test_another_format_than_the_webui_asked_for_does_not_stay(vae, host):
    from modules import shared

    from lib_sdtune.host.webui import structure

    with structure.restored(shared.sd_model):
        shared.sd_model.first_stage_model.to(torch.float32)
    assert vae.dtype == torch.bfloat16
