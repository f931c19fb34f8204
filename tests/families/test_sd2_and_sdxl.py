"""Stable Diffusion 2 and XL: as many layers as sd-scripts names, what their text towers answer, and what the UNet is told."""

from collections import Counter

import pytest
import torch

from lib_sdtune.families.sd2 import SD2
from lib_sdtune.families.sdxl import SDXL
from lib_sdtune.ldm.openclip import OpenCLIPTextModel
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.unet import UNetModel, timestep_embedding
from lib_sdtune.loaded_model import LoadedModel
from tests.models import tiny_sd2, tiny_sdxl


def targets(family, unet, text):
    """(targets, model) of true sizes, which need no memory here."""
    with torch.device("meta"):
        model = LoadedModel(family, UNetModel(**unet), None, [make() for make in text], None, None, "", "")
    return list(family.targets(model)), model


def counts(layers):
    return Counter((target.part, target.kind) for target in layers)


@pytest.fixture(scope="module")
def sdxl_targets():
    unet = {"channel_mult": (1, 2, 4), "attention_levels": (1, 2), "transformer_depth": (0, 2, 10), "use_linear": True,
            "head_channels": 64, "adm_channels": 2816, "context_dim": 2048}
    layers, model = targets(SDXL(), unet, [CLIPTextModel, lambda: OpenCLIPTextModel(width=1280, layers=32, heads=20, projection=1280)])
    yield layers
    del model


def test_sdxl_has_as_many_layers_as_sd_scripts_names(sdxl_targets):
    count = counts(sdxl_targets)
    assert count["unet", "attention"] == 722
    assert count["text_encoder_1", "attention"] == 72 and count["text_encoder_2", "attention"] == 192
    assert len({target.key for target in sdxl_targets}) == len(sdxl_targets) == len({id(target.layer) for target in sdxl_targets})


def test_sdxl_names(sdxl_targets):
    shape = {target.key: tuple(target.layer.weight.shape) for target in sdxl_targets}
    assert shape["lora_unet_input_blocks_4_1_proj_in"] == (640, 640)
    assert shape["lora_unet_middle_block_1_transformer_blocks_9_attn2_to_k"] == (1280, 2048)
    assert shape["lora_unet_output_blocks_5_1_transformer_blocks_1_ff_net_0_proj"] == (5120, 640)
    assert shape["lora_unet_input_blocks_3_0_op"] == (320, 320, 3, 3) and shape["lora_unet_output_blocks_2_2_conv"] == (1280, 1280, 3, 3)
    assert shape["lora_te1_text_model_encoder_layers_11_self_attn_out_proj"] == (768, 768)
    assert shape["lora_te2_text_model_encoder_layers_31_self_attn_v_proj"] == (1280, 1280)
    assert shape["lora_te2_text_model_encoder_layers_0_mlp_fc2"] == (1280, 5120)


def test_what_nobody_reads_is_idle(sdxl_targets):
    """The last layer of the first tower; the second one's speaks through its pooled answer."""
    assert {target.key.split("_self")[0].split("_mlp")[0] for target in sdxl_targets if target.unused} == {
        "lora_te1_text_model_encoder_layers_11"}


def test_sd2_has_as_many_layers_as_sd_scripts_names():
    unet = {"context_dim": 1024, "use_linear": True, "head_channels": 64}
    layers, _ = targets(SD2(), unet, [OpenCLIPTextModel])
    assert counts(layers)["unet", "attention"] == 192 and counts(layers)["text_encoder_1", "attention"] == 138
    assert not any(target.unused for target in layers)


@pytest.mark.parametrize("make", [tiny_sd2, tiny_sdxl])
def test_everything_but_the_idle_gets_a_gradient(make):
    model = make()
    for _, module in model.modules():
        module.requires_grad_(True)
    conditioning = model.family.encode_text(model, ["a cat"])
    model.family.predict(model, torch.randn(1, 4, 16, 16), torch.tensor([300]), conditioning).square().sum().backward()
    unused = model.family.unused_parameters(model)
    for part, module in model.modules():
        if part != "vae":
            silent = {name for name, p in module.named_parameters() if p.grad is None}
            assert silent == {name for name, p in module.named_parameters() if id(p) in unused}, part


def test_the_pooled_answer_is_that_of_the_first_end_token():
    """Whatever is padding, wherever rows of an embedding are put, and however many chunks follow."""
    model = tiny_sdxl()
    pooled = model.family.encode_text(model, ["a cat"]).vector
    assert torch.allclose(model.family.encode_text(model, ["a cat", "cat " * 90]).vector[:1], pooled, atol=1e-6)
    cat = torch.cat([tower.token_embedding.weight[model.tokenizer("cat")] for tower in model.towers], dim=1)
    named = tiny_sdxl({"zap": cat})
    assert torch.allclose(named.family.encode_text(named, ["a zap"]).vector, pooled, atol=1e-6)


def test_an_empty_negative_prompt_is_silence():
    model = tiny_sdxl()
    conditioning = model.family.encode_prompts(model, [[("", 1.0)], [("a cat", 1.0)]], negative=True)
    assert not conditioning.context[0].any() and not conditioning.vector[0].any() and conditioning.context[1].any() and conditioning.vector[1].any()
    assert model.family.encode_prompts(model, [[("", 1.0)]]).context.any()


def test_the_sizes_are_told_and_default_to_the_uncut_picture(monkeypatch):
    model, vectors = tiny_sdxl(), []
    monkeypatch.setattr(model.unet, "forward", lambda x, at, context, y: vectors.append(y) or x)
    conditioning = model.family.encode_text(model, ["a cat", "a dog"])
    for sizes in (None, torch.tensor([[64, 96, 0, 0, 64, 96], [64, 96, 0, 40, 64, 96]])):
        conditioning.sizes = sizes
        model.family.predict(model, torch.randn(2, 4, 8, 12), torch.tensor([300, 300]), conditioning)
    uncut, cut = (vector[:, conditioning.vector.shape[1]:].reshape(2, 6, 256) for vector in vectors)
    assert torch.equal(vectors[0][:, :20], conditioning.vector) and torch.equal(uncut[0], cut[0])
    assert torch.equal(uncut[1, [0, 1, 2, 4, 5]], cut[1, [0, 1, 2, 4, 5]])
    assert torch.equal(cut[1, 3], timestep_embedding(torch.tensor([40]), 256)[0])
