"""What the families need by arithmetic, at their true sizes: what common cards have room for."""

import pytest
import torch

from lib_sdtune import devices
from lib_sdtune.config import Config
from lib_sdtune.families.sd1 import SD1
from lib_sdtune.families.sdxl import SDXL
from lib_sdtune.ldm.openclip import OpenCLIPTextModel
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.unet import UNetModel
from lib_sdtune.ldm.vae import AutoencoderKL
from lib_sdtune.loaded_model import ModelSpec
from lib_sdtune.training.memory import attention_maps
from lib_sdtune.training.memory.cheaper_settings import cheaper_configs
from lib_sdtune.training.memory.estimate import estimate, recomputes
from tests.hosts import settings

CUDA = torch.device("cuda")
XL = {"channel_mult": (1, 2, 4), "attention_levels": (1, 2), "transformer_depth": (0, 2, 10), "use_linear": True, "head_channels": 64,
      "adm_channels": 2816, "context_dim": 2048}


def spec(family, unet, *text_encoders):
    with torch.device("meta"):
        parts = {"unet": UNetModel(**unet), "vae": AutoencoderKL()}
        parts |= {f"text_encoder_{i + 1}": make() for i, make in enumerate(text_encoders)}
    shapes = {part: {name: tuple(tensor.shape) for name, tensor in module.named_parameters()} for part, module in parts.items()}
    return ModelSpec(shapes, torch.float16, CUDA, family=family)


@pytest.fixture(scope="module")
def sdxl():
    return spec(SDXL(), XL, CLIPTextModel, lambda: OpenCLIPTextModel(width=1280, layers=32, heads=20, projection=1280))


def gigabytes(model, side, checkpointing="on", **changes):
    config = settings("x", **{"dataset": {"resolution": side, "max_bucket_reso": 2 * side}, **changes})
    config["train"] |= {"gradient_checkpointing": checkpointing}
    return estimate(Config.from_dict(config), model) / 2**30


def test_the_sizes_are_the_real_ones(sdxl):
    assert sdxl.count("unet") == 2_567_463_684 and sdxl.count("text_encoder_2") == 694_659_841
    assert sdxl.count("text_encoder_1") == 123_060_480 and sdxl.count("vae") == 83_653_863


LORA = {"lora": {"dim": 16, "alpha": 8, "text_encoder_lr": 0.0}}


def test_a_lora_of_sdxl_fits_twelve_gigabytes(sdxl):
    assert 6 < gigabytes(sdxl, 1024, **LORA) < 11.5
    assert gigabytes(sdxl, 1024, "off", **LORA) > 12


def test_what_is_cached_needs_no_room(sdxl):
    towers = (sdxl.count("text_encoder_1") + sdxl.count("text_encoder_2")) * 2 / 2**30
    fixed = gigabytes(sdxl, 1024, **LORA)
    shuffled = gigabytes(sdxl, 1024, **LORA | {"dataset": {"resolution": 1024, "max_bucket_reso": 2048, "shuffle_caption": True}})
    assert shuffled - fixed == pytest.approx(towers, rel=1e-6)


def test_a_device_that_cannot_make_weights_again_holds_all_of_them(sdxl):
    directml = ModelSpec(sdxl.shapes, torch.float16, torch.device("privateuseone"), family=sdxl.family)
    lora, loha = (gigabytes(directml, 1024, "off", lora={**LORA["lora"], "network": network}) for network in ("lora", "loha"))
    assert loha - lora > 20


DREAMBOOTH = {"method": "dreambooth", "dreambooth": {"unet_lr": 2e-6}}


LION = {"train.optimizer": "Lion", "train.optimizer_args": {}, "dreambooth.unet_lr": 6.7e-07}


@pytest.mark.parametrize(("size", "changes", "expected"), [
    (8, LORA, {}), (12, LORA, {}), (16, LORA, {}), (24, LORA, {}), (16, LORA | {"train": {"batch_size": 10}}, {"train.batch_size": 1}),
    (8, LORA | {"lora": {"dim": 16, "text_encoder_lr": 1e-5}}, {"lora.text_encoder_lr": 0.0}),
    (16, DREAMBOOTH, None), (24, DREAMBOOTH, LION),
])
def test_the_ladder_at_1024_pixels(sdxl, monkeypatch, size, changes, expected):
    """The first settings that fit a card of so many GB, of which a tenth is not ours; None where no settings do."""
    monkeypatch.setattr(devices, "total_memory", lambda device: size * 2**30)
    monkeypatch.setattr(devices, "has_bfloat16", lambda device: True)
    config = Config.from_dict(settings("x", **{"dataset": {"resolution": 1024, "max_bucket_reso": 2048}, **changes}))
    tries = [({}, config), *cheaper_configs(config, CUDA, sdxl)]
    assert next((changed for changed, cheaper in tries if estimate(cheaper, sdxl) < 0.9 * size * 2**30), None) == expected


def test_dreambooth_of_sdxl_fits_a_large_card_with_half_weights_and_lion(sdxl):
    cheap = {"method": "dreambooth", "dreambooth": {"weights": "bfloat16"}, "train": {"optimizer": "Lion"}}
    assert 12 < gigabytes(sdxl, 1024, **cheap) < 23


def test_the_deeper_unet_keeps_more_for_the_same_picture(sdxl):
    sd1 = spec(SD1(), {}, CLIPTextModel)
    more = [gigabytes(model, 512, "off") - gigabytes(model, 512, "on") for model in (sd1, sdxl)]
    assert 1.5 < more[1] / more[0] < 2.5


@pytest.mark.parametrize(("size", "side", "changes", "recomputed"), [
    (6, 512, LORA, False), (4, 512, LORA, True), (12, 512, LORA, False), (12, 768, LORA | {"train": {"batch_size": 4}}, True),
    (24, 512, DREAMBOOTH, False), (12, 512, DREAMBOOTH, True), (24, 512, {**LORA, "train": {"batch_size": 32}}, True)])
def test_auto_recomputes_only_what_would_not_fit(monkeypatch, size, side, changes, recomputed):
    monkeypatch.setattr(devices, "total_memory", lambda device: size * 2**30)
    monkeypatch.setattr(devices, "has_bfloat16", lambda device: True)
    config = Config.from_dict(settings("x", **{"dataset": {"resolution": side, "max_bucket_reso": 2 * side}, **changes}))
    assert recomputes(config, spec(SD1(), {}, CLIPTextModel)) == recomputed


@pytest.mark.parametrize(("device", "recomputed"), [("cpu", False), ("mps", True), ("xpu", True), ("privateuseone", False)])
def test_auto_recomputes_where_nobody_knows_the_room_and_torch_can(monkeypatch, device, recomputed):
    monkeypatch.setattr(torch, "xpu", None, raising=False)  # of a torch that has such a device
    model = on(device, spec(SD1(), {}, CLIPTextModel))
    assert recomputes(Config.from_dict(settings("x", **LORA)), model) == recomputed


@pytest.mark.parametrize(("device", "advised"), [("mps", True), ("privateuseone", False)])
def test_recomputing_is_advised_where_torch_can(device, advised):
    config = Config.from_dict(settings("x", **LORA, train={"gradient_checkpointing": "off"}))
    changes = [changes for changes, _ in cheaper_configs(config, torch.device(device), on(device, spec(SD1(), {}, CLIPTextModel)))]
    assert any("train.gradient_checkpointing" in change for change in changes) == advised


def test_without_a_fused_kernel_attention_keeps_its_maps(sdxl):
    sd1 = spec(SD1(), {}, CLIPTextModel)
    kept = 8 * (5 * 4096**2 + 5 * 1024**2 + 5 * 256**2 + 64**2)
    assert attention_maps.numbers(sd1, 4096, recomputing=False) - attention_maps.numbers(sd1, 4096, recomputing=True) == kept
    assert attention_maps.numbers(sd1, 4096, recomputing=True) == 3 * 8 * 4096**2
    assert attention_maps.numbers(sdxl, 128**2, recomputing=True) == 3 * 10 * 4096**2
    apple, cuda = (gigabytes(on(device, sd1), 512, "off", **LORA, train={"mixed_precision": "no"}) for device in ("mps", "cuda"))
    assert apple - cuda > 2.5


def on(device, model):
    return ModelSpec(model.shapes, model.dtype, torch.device(device), family=model.family)
