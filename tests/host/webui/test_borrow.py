"""Borrowing and giving back: every trap that the WebUI's state holds for a training."""

import sys
from pathlib import Path

import numpy
import pytest
import torch
import webui_probe

from lib_sdtune.errors import UserError
from lib_sdtune.ldm import header
from lib_sdtune.ldm.header import Header
from lib_sdtune.sections.model import Model


class Broken(Exception):
    """The failure that tests inject."""


def learn(model):
    """A forward and a backward through the borrowed UNet, with everything left as carelessly as can be."""
    context = model.family.encode_text(model, ["a cat"]).context
    noisy = torch.randn(1, 4, 8, 8, requires_grad=True)
    model.unet.train()
    for weight in model.unet.parameters():
        weight.requires_grad_(True)
    model.unet(noisy, torch.tensor([500]), context=context).square().mean().backward()
    assert noisy.grad.abs().sum() > 0
    next(model.unet.parameters()).requires_grad_(False)
    model.vae.forward = model.unet.forward
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
    numpy.random.seed(1)


def test_the_own_modules_are_lent_and_nothing_is_loaded_twice(host, unchanged):
    from modules import shared

    with host.borrow(Model()) as model:
        assert model.unet is shared.sd_model.model.diffusion_model and model.vae is shared.sd_model.first_stage_model
        assert model.text_encoders == [shared.sd_model.cond_stage_model.wrapped.transformer]
        assert model.family.name == "sd1" and model.prediction_type == "epsilon"
        assert model.name and len(model.alphas_cumprod) == 1000 and model.alphas_cumprod.dtype == torch.float32
        ours = {weight.data_ptr() for _, part in model.modules() for weight in part.parameters()}
        assert ours <= {weight.data_ptr() for weight in shared.sd_model.parameters()}
        assert not webui_probe.free()


def test_the_tokenizer_speaks_ids_without_frame(host, unchanged):
    with host.borrow(Model()) as model:
        words = model.tokenizer("a cat")
        assert words and model.tokenizer.start not in words and model.tokenizer.end not in words
        assert model.tokenizer("") == []


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_given_back(host, fails):
    picture = webui_probe.draw(seed=3)
    before = webui_probe.fingerprint()
    try:
        with host.borrow(Model()) as model:
            learn(model)
            if fails:
                raise Broken
    except Broken:
        assert fails
    assert webui_probe.differences(before, webui_probe.fingerprint()) == []
    assert (webui_probe.draw(seed=3) == picture).all()


def test_a_lora_of_the_last_prompt_is_out_meanwhile(host):
    bare = webui_probe.weight().weight.clone()
    webui_probe.make_lora("worn")
    plain, dressed = webui_probe.draw(seed=2), webui_probe.draw("a cat <lora:worn:1>", seed=2)
    assert (plain != dressed).any()
    before, merged = webui_probe.fingerprint(), webui_probe.weight().weight.clone()
    assert not torch.equal(bare, merged)
    with host.borrow(Model()) as model:
        assert torch.equal(webui_probe.weight().weight, bare)
        assert webui_probe.weight().network_weights_backup is None, "an old backup would undo a training of the weights"
        learn(model)
        assert torch.equal(webui_probe.weight().weight, bare)
    assert torch.equal(webui_probe.weight().weight, merged)
    assert webui_probe.differences(before, webui_probe.fingerprint()) == []
    assert (webui_probe.draw("a cat <lora:worn:1>", seed=2) == dressed).all()
    assert (webui_probe.draw(seed=2) == plain).all()


def test_hypernetworks_are_off_meanwhile(host, request):
    from modules.sd_hijack import model_hijack

    model_hijack.apply_optimizations("None")  # the one attention that hangs them on the layers
    request.addfinalizer(model_hijack.apply_optimizations)
    webui_probe.make_hypernetwork("hyper")
    plain, dressed = webui_probe.draw(seed=2), webui_probe.draw("a cat <hypernet:hyper:1>", seed=2)
    assert (plain != dressed).any()
    layer = webui_probe.weight("diffusion_model.middle_block.1.transformer_blocks.0.attn2")
    assert hasattr(layer, "hyper_k")
    x, context = torch.randn(1, 4, layer.to_q.in_features), torch.randn(1, 77, layer.to_k.in_features)
    before = webui_probe.fingerprint()
    with host.borrow(Model()) as model, torch.no_grad():
        assert not any("hyper" in name for name, _ in model.unet.named_modules())
        projected = (layer.to_q(x), layer.to_k(context), layer.to_v(context))
        heads = [tensor.unflatten(-1, (layer.heads, -1)).transpose(1, 2) for tensor in projected]
        by_hand = torch.nn.functional.scaled_dot_product_attention(*heads)
        assert torch.allclose(layer(x, context), layer.to_out(by_hand.transpose(1, 2).flatten(2)), atol=1e-5)
    assert webui_probe.differences(before, webui_probe.fingerprint()) == []
    assert (webui_probe.draw("a cat <hypernet:hyper:1>", seed=2) == dressed).all()
    assert (webui_probe.draw(seed=2) == plain).all()


def test_attention_gives_the_same_answer_and_a_gradient(host, unchanged):
    layer = webui_probe.weight("diffusion_model.middle_block.1.transformer_blocks.0.attn1")
    x = torch.randn(1, 9, layer.to_q.in_features, generator=torch.Generator().manual_seed(1)).requires_grad_()
    with torch.no_grad():
        theirs = layer(x)
    with host.borrow(Model()):
        ours = layer(x)
        assert torch.allclose(ours, theirs, atol=1e-5)
        ours.sum().backward()
    assert x.grad.abs().sum() > 0


def test_token_merging_is_off_meanwhile(host):
    from modules import sd_models, shared

    sd_models.apply_token_merging(shared.sd_model, 0.5)
    try:
        before = webui_probe.fingerprint()
        with host.borrow(Model()):
            assert shared.sd_model.applied_token_merged_ratio == 0
        assert webui_probe.differences(before, webui_probe.fingerprint()) == []
    finally:
        sd_models.apply_token_merging(shared.sd_model, 0)


def test_an_alternative_unet_is_off_meanwhile(host, monkeypatch):
    from modules import sd_unet

    class Other(sd_unet.SdUnetOption):
        label = model_name = "[TRT] other"

        def create_unet(self):
            return sd_unet.SdUnet()

    option = Other()
    monkeypatch.setattr(sd_unet, "unet_options", [option])
    sd_unet.apply_unet(option.label)
    try:
        with host.borrow(Model()) as model:
            assert sd_unet.current_unet is None
            learn(model)
        assert sd_unet.current_unet_option is option
    finally:
        sd_unet.apply_unet("None")


def test_tiling_is_off_meanwhile(host):
    from modules.sd_hijack import model_hijack

    model_hijack.apply_circular(True)
    try:
        before = webui_probe.fingerprint()
        with host.borrow(Model()) as model:
            assert {layer.padding_mode for layer in model.unet.modules() if isinstance(layer, torch.nn.Conv2d)} == {"zeros"}
        assert webui_probe.differences(before, webui_probe.fingerprint()) == []
    finally:
        model_hijack.apply_circular(False)


def test_the_schedule_is_the_one_the_model_was_trained_with(host, unchanged):
    from modules import shared

    model, shown = shared.sd_model, shared.sd_model.alphas_cumprod
    model.alphas_cumprod = shown * 0.5
    try:
        with host.borrow(Model()) as lent:
            assert torch.allclose(lent.alphas_cumprod, model.alphas_cumprod_original.float().cpu())
            assert lent.alphas_cumprod[0] > 0.99
    finally:
        model.alphas_cumprod = shown


def test_upcasting_is_off_meanwhile(host, monkeypatch):
    from modules import devices

    monkeypatch.setattr(devices, "unet_needs_upcast", True)
    with host.borrow(Model()):
        assert devices.unet_needs_upcast is False
    assert devices.unet_needs_upcast is True


def test_ldm_s_own_checkpointing_is_off_meanwhile(host):
    block = webui_probe.weight("diffusion_model.middle_block.0")
    block.use_checkpoint = True
    try:
        with host.borrow(Model()) as model:
            assert block.use_checkpoint is False
            learn(model)
        assert block.use_checkpoint is True
    finally:
        block.use_checkpoint = False


def test_encoded_prompts_are_forgotten_afterwards(host, unchanged):
    from modules.processing import StableDiffusionProcessing

    assert StableDiffusionProcessing.cached_c[0] is not None
    with host.borrow(Model()):
        pass
    assert StableDiffusionProcessing.cached_c == [None, None] == StableDiffusionProcessing.cached_uc


def test_the_webui_can_read_its_embeddings_anew_meanwhile(host, unchanged):
    """Its page for embeddings does so at Refresh; what fails there leaves the user without embeddings."""
    from modules.sd_hijack import model_hijack

    database = model_hijack.embedding_db
    there = set(database.word_embeddings)
    with host.borrow(Model()):
        database.load_textual_inversion_embeddings(force_reload=True)
        assert set(database.word_embeddings) >= there


def test_the_token_table_is_plain_and_captions_may_name_embeddings(host):
    webui_probe.make_embedding("zwirbel")
    picture = webui_probe.draw("a zwirbel", seed=2)
    before = webui_probe.fingerprint()
    with host.borrow(Model()) as model:
        assert type(model.text_encoders[0].text_model.embeddings.token_embedding) is torch.nn.Embedding
        assert model.embeddings["zwirbel"].shape[0] == 2
        named, word = (model.family.encode_text(model, [caption]).context for caption in ("a zwirbel", "a zwirbe"))
        assert (named - word).abs().max() > 1e-3
    assert webui_probe.differences(before, webui_probe.fingerprint()) == []
    assert (webui_probe.draw("a zwirbel", seed=2) == picture).all()


def test_hooks_of_other_extensions_are_set_aside_and_come_back(host):
    layer = webui_probe.weight("diffusion_model.middle_block.1.transformer_blocks.0.attn1")

    def hooked(x, *args, **kwargs):
        raise AssertionError("an extension's hook ran during training")

    layer.forward = hooked
    try:
        with host.borrow(Model()) as model:
            learn(model)
        assert layer.forward is hooked
    finally:
        del layer.forward


def test_lowvram_is_refused_with_the_remedy(host, unchanged, monkeypatch):
    from modules import shared

    monkeypatch.setattr(shared.cmd_opts, "lowvram", True)
    with pytest.raises(UserError, match="--medvram"), host.borrow(Model()):
        pass


def test_medvram_s_shuttle_stands_still_meanwhile(host, monkeypatch):
    from modules import lowvram, shared

    monkeypatch.setattr(shared.sd_model, "lowvram", True)
    monkeypatch.setattr(lowvram, "module_in_gpu", shared.sd_model.model)
    with host.borrow(Model()) as model:
        assert lowvram.module_in_gpu is None
        learn(model)
    assert lowvram.module_in_gpu is None, "otherwise the shuttle takes a module for present that is away"


def test_eight_bit_weights_are_refused_with_the_remedy(host):
    layer = webui_probe.weight()
    kept = layer.weight.data
    layer.weight.data = kept.to(torch.float8_e4m3fn)
    try:
        with pytest.raises(UserError, match="FP8 weight to Disable"), host.borrow(Model()):
            pass
    finally:
        layer.weight.data = kept


def test_families_that_cannot_be_trained_are_named(host, unchanged, monkeypatch):
    refiner = Header("refiner.safetensors", {"conditioner.embedders.0.model.ln_final.weight": (1280,)})
    monkeypatch.setattr(header, "read", lambda path: refiner)
    with pytest.raises(UserError, match="an SDXL refiner"), host.borrow(Model()):
        pass
    with pytest.raises(UserError, match="an SDXL refiner"):
        host.check(Model())


def test_a_checkpoint_that_the_webui_does_not_know_is_refused(host, unchanged):
    with pytest.raises(UserError, match="model.checkpoint"):
        host.check(Model(checkpoint="no such file.safetensors"))


def test_the_lora_extension_may_be_switched_off(host, unchanged, monkeypatch):
    monkeypatch.delitem(sys.modules, "networks")
    with host.borrow(Model()) as model:
        learn(model)


def test_a_model_is_told_before_it_is_lent_by_the_names_that_it_is_lent_with(host, unchanged):
    """Also its token tables, around which the WebUI has a shell."""
    told = host.model_spec(Model()).shapes
    with host.borrow(Model()) as model:
        assert told == model.spec().shapes
    assert any(name.endswith("token_embedding.weight") for name in told["text_encoder_1"])


def test_a_checkpoint_that_is_named_is_told_by_its_own_file(host, unchanged):
    """Also while another one is loaded: what suits it, what it is made of, and what it predicts."""
    import json

    from modules import sd_models, shared

    loaded = sd_models.model_data.sd_model.sd_checkpoint_info
    infos = [info for info in sd_models.checkpoints_list.values() if Path(info.filename).exists()]  # other tests made some and took them away
    other = next(info for info in infos if info.filename != loaded.filename)
    beside = Path(other.filename).with_suffix(".yaml")
    was = beside.read_text() if beside.exists() else None
    if was is not None:
        pytest.skip("this checkpoint needs its own .yaml")
    beside.write_text(json.dumps({"model": {"params": {"parameterization": "v"}}}))
    try:
        named = Model(checkpoint=other.title)
        assert host.model_spec(named).variant.prediction_type == "v_prediction"
        assert host.model_spec(Model()).variant.prediction_type == "epsilon"
        assert host.defaults(named) == {"dataset": {"resolution": 512}, "model": {"clip_skip": 1}}
        assert host.model_spec(named).shapes["unet"].keys() == host.model_spec(Model()).shapes["unet"].keys()
        assert shared.sd_model.sd_checkpoint_info is loaded
    finally:
        beside.unlink()
