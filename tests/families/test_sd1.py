import sys
from types import SimpleNamespace

import pytest
import torch

from lib_sdtune.families import registry
from lib_sdtune.families.sd1 import SD1
from lib_sdtune.ldm.layers import unet_layers
from lib_sdtune.ldm.text import CLIPTextModel, hidden_states
from lib_sdtune.ldm.unet import UNetModel
from lib_sdtune.loaded_model import LoadedModel
from tests.models import checkpoint_tensors, tiny_sd1


@pytest.fixture(scope="module")
def model():
    return tiny_sd1()


@pytest.fixture(scope="module")
def real_targets():
    """The targets of a model of SD1's true sizes, which need no memory here."""
    with torch.device("meta"):
        model = LoadedModel(SD1(), UNetModel(), None, [CLIPTextModel()], None, None, "", "")
    return list(SD1().targets(model))


def test_registered_and_recognised(model):
    family = registry["sd1"]()
    shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint_tensors(model).items()}
    assert family.recognises(shapes)
    assert not family.recognises({"conditioner.embedders.0.transformer.text_model.x": (1,)})


def test_as_many_targets_as_sd_scripts_has(real_targets):
    counts = {}
    for target in real_targets:
        counts[target.part, target.kind] = counts.get((target.part, target.kind), 0) + 1
    assert counts == {("unet", "attention"): 192, ("unet", "convolution"): 86, ("text_encoder_1", "attention"): 72}
    assert len({target.key for target in real_targets}) == len(real_targets) == len({id(target.layer) for target in real_targets})


def test_kohya_names(real_targets):
    layers = {target.key: target for target in real_targets}
    shape = {key: tuple(target.layer.weight.shape) for key, target in layers.items()}
    assert shape["lora_unet_down_blocks_0_attentions_0_proj_in"] == (320, 320, 1, 1)
    assert shape["lora_unet_down_blocks_2_attentions_1_transformer_blocks_0_attn2_to_k"] == (1280, 768)
    assert shape["lora_unet_mid_block_attentions_0_transformer_blocks_0_ff_net_0_proj"] == (10240, 1280)
    assert shape["lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_attn1_to_out_0"] == (320, 320)
    assert shape["lora_unet_up_blocks_1_attentions_0_transformer_blocks_0_ff_net_2"] == (1280, 5120)
    assert shape["lora_unet_down_blocks_3_resnets_1_conv2"] == (1280, 1280, 3, 3)
    assert shape["lora_unet_up_blocks_0_resnets_2_conv_shortcut"] == (1280, 2560, 1, 1)
    assert shape["lora_unet_mid_block_resnets_1_time_emb_proj"] == (1280, 1280)
    assert shape["lora_unet_down_blocks_2_downsamplers_0_conv"] == (1280, 1280, 3, 3)
    assert shape["lora_unet_up_blocks_2_upsamplers_0_conv"] == (640, 640, 3, 3)
    assert shape["lora_te_text_model_encoder_layers_11_self_attn_out_proj"] == (768, 768)
    assert shape["lora_te_text_model_encoder_layers_0_mlp_fc1"] == (3072, 768)
    assert "lora_unet_down_blocks_3_downsamplers_0_conv" not in layers and "lora_unet_up_blocks_3_upsamplers_0_conv" not in layers
    blocks = {key: layers[key].block for key in layers}
    assert blocks["lora_unet_down_blocks_2_attentions_1_proj_in"] == "IN08"
    assert blocks["lora_unet_mid_block_attentions_0_proj_in"] == "MID"
    assert blocks["lora_unet_up_blocks_3_attentions_2_proj_in"] == "OUT11"


def test_the_public_modules_have_the_same_layers(monkeypatch):
    for name in ("omegaconf", "omegaconf.listconfig"):  # the public code imports it for one isinstance
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(ListConfig=list))
    public = pytest.importorskip("ldm.modules.diffusionmodules.openaimodel", reason="stable-diffusion-sdkit is not installed")
    sizes = {"in_channels": 4, "out_channels": 4, "model_channels": 32, "num_res_blocks": 2, "channel_mult": (1, 2, 4, 4),
             "context_dim": 24, "num_heads": 8}
    theirs = public.UNetModel(image_size=32, attention_resolutions=[4, 2, 1], use_spatial_transformer=True, legacy=False, **sizes)
    described = [[(layer.path, layer.diffusers, layer.module.weight.shape, layer.kind, layer.block) for layer in unet_layers(unet)]
                 for unet in (UNetModel(**sizes), theirs)]
    assert described[0] == described[1] and len(described[0]) == 278
    names = dict(theirs.named_modules())
    assert all(names[layer.path] is layer.module for layer in unet_layers(theirs))


def test_captions_are_literal(model):
    plain = model.family.encode_text(model, ["a (cat:2.0) [dog]"]).context
    assert plain.shape == (1, 77, 16)
    weighted = model.family.encode_prompts(model, [[("a (cat:2.0) [dog]", 2.0)]]).context
    assert not torch.allclose(plain, weighted)
    assert plain.mean() == pytest.approx(weighted.mean().item(), abs=1e-5)


def test_long_captions_take_more_chunks_and_short_ones_are_evened(model):
    long = "cat " * 80
    both = model.family.encode_text(model, [long, "dog"]).context
    assert both.shape == (2, 154, 16)
    dog, empty = (model.family.encode_text(model, [text]).context for text in ("dog", ""))
    assert torch.allclose(both[1], torch.cat([dog, empty], dim=1)[0], atol=1e-6)


def test_clip_skip_takes_an_earlier_layer_and_normalises_it(model):
    text = model.text_encoders[0].text_model
    tok = model.tokenizer
    ids = torch.tensor([[tok.start, *tok("cat"), tok.end, *[tok.pad] * 74]])
    states = hidden_states(text, ids)
    for skip in (1, 2, 3):
        ours = model.family.encode_text(model, ["cat"], clip_skip=skip).context
        assert torch.allclose(ours, text.final_layer_norm(states[-skip]), atol=1e-6)


def test_embedding_rows_take_the_place_of_their_name_and_alone_learn():
    rows = torch.randn(3, 16, requires_grad=True)
    model = tiny_sd1({"zap": rows})
    with_rows = model.family.encode_text(model, ["cat zap dog", "cat"])
    with_rows.context.square().sum().backward()
    assert rows.grad.abs().min() > 0
    assert all(parameter.grad is None for parameter in model.text_encoders[0].parameters())
    bare = tiny_sd1().family.encode_text(model, ["cat"])
    assert torch.allclose(with_rows.context[1:], bare.context, atol=1e-6)


def test_embedding_rows_are_what_the_tower_sees():
    """An embedding made of a word's own vector is that word."""
    model = tiny_sd1()
    table = model.text_encoders[0].text_model.embeddings.token_embedding.weight
    named = tiny_sd1({"q": table[model.tokenizer("cat")].clone()})
    a = model.family.encode_text(model, ["dog cat dog"]).context
    b = named.family.encode_text(named, ["dog q dog"]).context
    assert torch.allclose(a, b, atol=1e-6)


def test_images_become_scaled_latents(model):
    mean, std = model.family.encode_images(model, torch.rand(2, 3, 64, 32) * 2 - 1)
    assert mean.shape == std.shape == (2, 4, 8, 4)
    raw_mean, raw_std = model.vae.encode(torch.zeros(1, 3, 64, 64))
    mean, std = model.family.encode_images(model, torch.zeros(1, 3, 64, 64))
    assert torch.allclose(mean, raw_mean * 0.18215) and torch.allclose(std, raw_std * 0.18215)
