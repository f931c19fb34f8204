import hashlib
import json
import logging
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_sdtune.artefacts import embedding, hypernetwork
from lib_sdtune.errors import RunError, UserError
from lib_sdtune.formats import infotext
from lib_sdtune.formats import tensors as files
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.embedded import EMBEDDED, EmbeddedHost
from lib_sdtune.host.watcher import watched
from lib_sdtune.ldm import header
from lib_sdtune.networks.hypernetwork import Hypernetwork, Structure
from lib_sdtune.networks.lora import LoRA
from lib_sdtune.sections.model import Model
from lib_sdtune.training.memory.offloaded_parts import OffloadedParts
from tests.models import checkpoint_tensors, tiny_sd1
from tests.pretended import pretended_cuda
from tests.pretended.card import rounded

REQUEST = SampleRequest("a cat", "dog", steps=2, seed=3, width=64, height=64)
DEFAULTS = {"dataset": {"resolution": 64}, "lora": {"unet_lr": 1e-3}}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A data folder with one small checkpoint, its vocabulary beside it."""
    data = tmp_path_factory.mktemp("data")
    folder = data / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    write_checkpoint(folder / "tiny.safetensors", tiny_sd1())
    return EmbeddedHost(data, folder / "tiny.safetensors", device="cpu")


def write_checkpoint(path, model):
    save_file(checkpoint_tensors(model), path, metadata={"sdtune_defaults": json.dumps(DEFAULTS), "sdtune_resolution": "64"})
    (path.parent / "vocab.json").write_text(json.dumps(model.tokenizer.vocab), encoding="utf-8")
    (path.parent / "merges.txt").write_text("\n".join(" ".join(pair) for pair in model.tokenizer.ranks), encoding="utf-8")


def draw(host, prompt="a cat", **other):
    return next(iter(host.generate([replace(REQUEST, prompt=prompt, **other)])))


def pixels(image):
    return np.asarray(image).astype(int)


def bits(model):
    return {name: tensor.clone() for _, module in model.modules() for name, tensor in module.state_dict().items()}


def test_folders_are_the_webuis(host):
    places = {kind: host.folder(kind).relative_to(host.data_dir).as_posix() for kind in
              ("lora", "embeddings", "hypernetworks", "checkpoints", "sdtune")}
    assert places == {"lora": "models/Lora", "embeddings": "embeddings", "hypernetworks": "models/hypernetworks",
                      "checkpoints": "models/Stable-diffusion", "sdtune": "sdtune"}


def test_a_checkpoint_says_what_suits_it(host, tmp_path):
    assert host.defaults(Model()) == DEFAULTS and host.resolution == 64
    assert host.about() == {"model": "tiny", "family": "SD1"}
    plain = tmp_path / "plain.safetensors"
    save_file(checkpoint_tensors(tiny_sd1()), plain)
    assert host.defaults(Model(checkpoint=str(plain))) == {"dataset": {"resolution": 512}}


def test_checkpoints_are_found_by_name_and_by_path(host, tmp_path):
    assert host.find("tiny") == host.find("tiny.safetensors") == host.checkpoint == host.find(str(host.checkpoint))
    with pytest.raises(UserError, match="did you mean 'tiny'"):
        host.find("tini")
    assert EmbeddedHost(tmp_path).checkpoint == EMBEDDED


def test_a_loan_leaves_no_trace_even_after_an_exception(host):
    model = host.model()
    before, picture = bits(model), pixels(draw(host))
    chance = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), host.borrow(Model(), None) as lent:
        assert lent is model
        layer = lent.unet.middle_block[1].proj_in
        lent.unet.train()
        for _, module in lent.modules():
            module.requires_grad_(True)
        layer.forward = lambda x: x * 0
        layer.register_forward_hook(lambda *_: None)
        lent.unet.middle_block[0] = torch.nn.Identity()
        with torch.no_grad():
            lent.unet.out[2].weight.add_(1)
            lent.text_encoders[0].text_model.final_layer_norm.bias.data.add_(1)
        lent.vae.half()
        lent.unet.out[2].weight.grad = torch.ones_like(lent.unet.out[2].weight)
        torch.rand(3)
        raise ZeroDivisionError
    assert host.model() is model and torch.equal(torch.get_rng_state(), chance)
    after = bits(model)
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    for _, module in model.modules():
        for part in module.modules():
            assert not part.training and "forward" not in vars(part) and not part._forward_hooks
        assert all(not p.requires_grad and p.grad is None and p.dtype == torch.float32 for p in module.parameters())
    assert (pixels(draw(host)) == picture).all()


@pytest.fixture
def card():
    with pretended_cuda() as card:
        yield card


@pytest.fixture
def on_the_card(card, host):
    return EmbeddedHost(host.data_dir, host.checkpoint, device="cuda")


def test_a_part_that_waits_elsewhere_frees_the_cards_memory(card, on_the_card):
    model = on_the_card.model()
    before, size = bits(model), sum(rounded(tensor.nbytes) for tensor in model.vae.parameters())
    with on_the_card.borrow(Model()):
        taken = torch.cuda.memory_allocated()
        with OffloadedParts([model.vae]):
            assert taken - torch.cuda.memory_allocated() == size
    assert on_the_card.model() is model and all(torch.equal(before[name], tensor) for name, tensor in bits(model).items())
    assert all(tensor.is_cuda for tensor in bits(model).values())


def test_a_model_that_finds_no_room_on_the_card_is_loaded_anew(card, on_the_card):
    model, limit = on_the_card.model(), card.limit
    with pytest.raises(RunError, match="filled by something else"), on_the_card.borrow(Model()), OffloadedParts([model.vae]):
        card.fill()
    card.limit = limit
    assert on_the_card.model() is not model and all(tensor.is_cuda for tensor in bits(on_the_card.model()).values())


def test_the_model_is_lent_once_at_a_time(host):
    with host.borrow(Model()), pytest.raises(RunError, match="lent"), host.borrow(Model()):
        pass
    waited = []
    with host.borrow(Model()):
        other = threading.Thread(target=lambda: waited.append(draw(host)))
        other.start()
        other.join(0.2)
        assert not waited
    other.join(60)
    assert waited


def test_a_loan_knows_the_model(host):
    with host.borrow(Model(clip_skip=2)) as model:
        assert model.name == "tiny" and len(model.hash) == 10 and model.resolution == 64 and model.prediction_type == "epsilon"
        assert model.folder("lora") == host.folder("lora")
        skipped = draw(host)
    assert "Clip skip: 2" in skipped.info["parameters"] and "Clip skip" not in draw(host).info["parameters"]
    assert (pixels(skipped) != pixels(draw(host))).any()


def test_what_is_attached_shows_in_pictures(host):
    bare = pixels(draw(host))
    with host.borrow(Model()) as model:
        model.unet.out[2].forward = lambda x, straight=model.unet.out[2].forward: straight(x) * 2
        assert (pixels(draw(host)) != bare).any()
    assert (pixels(draw(host)) == bare).all()


def test_another_file_of_the_same_name_is_noticed(tmp_path):
    path = tmp_path / "tiny.safetensors"
    write_checkpoint(path, tiny_sd1())
    host = EmbeddedHost(tmp_path, path, device="cpu")
    with host.borrow(Model()) as first:
        write_checkpoint(path, tiny_sd1(seed=10))
    second = host.model()
    assert second is not first and second.hash != first.hash
    assert torch.equal(second.unet.out[2].weight, tiny_sd1(seed=10).unet.out[2].weight)


def test_pictures_carry_infotext(host):
    image = draw(host, "a (cat:1.2)", width=72)
    assert image.size == (72, 64)
    assert image.info["parameters"] == (
        "a (cat:1.2)\nNegative prompt: dog\n"
        f"Steps: 2, Sampler: Euler a, CFG scale: 7.0, Seed: 3, Size: 72x64, Model hash: {host.model().hash}, Model: tiny")


def test_pictures_that_nobody_wants_any_more_end_at_the_next_step(host):
    """As a run does that is asked to stop while it draws its samples."""
    asked, requests = [], [SampleRequest("a circle", "", 20, 2.0, seed, 64, 64) for seed in (1, 2)]
    with watched(lambda: asked.append(1) or len(asked) > 3, lambda sentence: None):
        assert list(host.generate(requests)) == []
    assert len(asked) == 4
    assert len(list(host.generate([replace(requests[0], steps=2)]))) == 1


def test_pictures_depend_on_words_and_seed_alone(host):
    requests = [replace(REQUEST, width=128, seed=3 + i, prompt="a cat" if i else "cat " * 90) for i in range(3)]
    together = list(host.generate(requests))
    assert (pixels(together[1]) != pixels(together[2])).any()
    for request, image in zip(requests, together, strict=True):
        alone = next(iter(host.generate([request])))
        assert np.abs(pixels(alone) - pixels(image)).max() <= 1
        assert alone.info == image.info
    assert (pixels(draw(host)) != pixels(draw(host, "dog"))).any()
    assert (pixels(draw(host, width=128)) != pixels(draw(host, width=128, cfg_scale=1.0))).any()


def test_emphasis_and_sizes(host):
    assert (pixels(draw(host, "a (cat:1.8)")) != pixels(draw(host))).any()
    with pytest.raises(UserError, match="multiple of 8"):
        draw(host, width=60)


def write_lora(host, name, keys, size=0.1, **extra):
    targets = {target.key: target.layer for target in host.model().family.targets(host.model())}
    tensors, chance = dict(extra), torch.Generator().manual_seed(0)
    for key in keys:
        adapter = LoRA(targets[key], 2, 1, chance)
        adapter.up.data.normal_(0, size, generator=chance)
        tensors |= {f"{key}.{tail}": tensor for tail, tensor in adapter.tensors().items()}
    path = host.folder("lora") / f"{name}.safetensors"
    files.write(path, tensors)
    return path


UNET = ["lora_unet_mid_block_attentions_0_proj_in", "lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_attn2_to_v",
        "lora_unet_up_blocks_3_resnets_2_conv2"]
TEXT = ["lora_te_text_model_encoder_layers_0_self_attn_q_proj", "lora_te_text_model_encoder_layers_2_mlp_fc2"]


def test_a_lora_bends_the_picture_as_much_as_the_prompt_says(host):
    write_lora(host, "bend", UNET + TEXT)
    bare, before = pixels(draw(host)), bits(host.model())
    full, half = pixels(draw(host, "a cat<lora:bend:1>")), pixels(draw(host, "a cat<lora:bend:0.1>"))
    assert np.abs(full - bare).sum() > np.abs(half - bare).sum() > 0
    assert (pixels(draw(host, "a cat<lora:bend:0>")) == bare).all()
    assert (pixels(draw(host, "a cat<lora:bend:0:1>")) != pixels(draw(host, "a cat<lora:bend:1:0>"))).any()
    assert (pixels(draw(host)) == bare).all()
    assert all(torch.equal(before[name], tensor) for name, tensor in bits(host.model()).items())
    assert 'Lora hashes: "bend: ' in draw(host, "a cat<lora:bend:1>").info["parameters"]


def test_a_lora_adds_its_product_to_the_weight(host):
    """The picture is that of a model whose weights were changed by up @ down * alpha / dim."""
    path = write_lora(host, "sum", UNET)
    tensors, _ = files.read(path)
    bent = pixels(draw(host, "a cat<lora:sum:0.5>"))
    with host.borrow(Model()) as model, torch.no_grad():
        layers = {target.key: target.layer for target in model.family.targets(model)}
        for key in UNET:
            up, down = tensors[f"{key}.lora_up.weight"], tensors[f"{key}.lora_down.weight"]
            layers[key].weight += (up.flatten(1) @ down.flatten(1)).reshape(layers[key].weight.shape) * 0.5 * 0.5
        merged = pixels(draw(host))
    assert np.abs(merged - bent).max() <= 1


def test_layers_that_fit_nothing_are_named(host, caplog):
    write_lora(host, "odd", UNET, **{"lora_unet_elsewhere.lora_down.weight": torch.zeros(1, 1)})
    with caplog.at_level(logging.WARNING, "sdtune"):
        draw(host, "a cat<lora:odd:1>")
    assert "odd.safetensors: 1 of its layers fit nothing in this model, such as lora_unet_elsewhere" in caplog.text


def test_loras_that_cannot_be_used_are_refused(host):
    write_lora(host, "foreign", [], **{"lora_unet_elsewhere.lora_down.weight": torch.zeros(1, 1)})
    key = UNET[0]
    write_lora(host, "larger", [], **{f"{key}.lora_down.weight": torch.zeros(2, 999), f"{key}.lora_up.weight": torch.zeros(999, 2)})
    write_lora(host, "novel", [], **{f"{key}.lora_sideways.weight": torch.zeros(2, 2)})
    files.write(host.folder("lora") / "word.safetensors", {"emb_params": torch.zeros(1, 16)})
    for name, says in (("foreign", "another kind of model"), ("larger", "other sizes"), ("novel", "not known here"),
                       ("word", "is an embedding"), ("bendd", "did you mean 'bend'")):
        with pytest.raises(UserError, match=says):
            draw(host, f"a cat<lora:{name}:1>")


def test_the_infotext_lists_the_hashes_of_embeddings_as_the_webui_does(host):
    """sha256 of the whole file, twelve digits; the prompt's before the negative one's. What a run trains is no file's."""
    digests = {}
    for number, name in enumerate(("zap", "zip"), 1):
        path = host.folder("embeddings") / f"{name}.safetensors"
        embedding.write(path, torch.full((2, 16), number / 4), ["emb_params"], [16], {})
        digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:12]

    def hashes(prompt, negative=""):
        request = replace(REQUEST, prompt=prompt, negative_prompt=negative)
        return infotext.read(next(iter(host.generate([request]))).info["parameters"])[2].get("TI hashes")

    write_lora(host, "bend", UNET)
    assert hashes("a cat") is None and hashes("a zap<lora:bend:1>") == f"zap: {digests['zap']}"
    assert hashes("a (zap:1.2) zap", "zip") == f"zap: {digests['zap']}, zip: {digests['zip']}"
    with host.borrow(Model()) as model:
        model.embeddings["zap"] = model.embeddings["zap"] * 2
        assert hashes("a zap", "zip") == f"zip: {digests['zip']}"
    for name in digests:
        (host.folder("embeddings") / f"{name}.safetensors").unlink()


@pytest.mark.parametrize("ask", ["borrow", "generate"])
def test_everybody_who_waits_for_the_model_is_asked_for_themselves(host, ask):
    """A comparison that is stopped while a training waits too must not take the training's place, nor end it."""
    class GivenUp(Exception):
        pass

    asked = dict.fromkeys(("first", "second"), 0)
    ended = []

    def wait(name, times):
        def on_wait():
            assert threading.current_thread().name == name
            asked[name] += 1
            if asked[name] == times:
                raise GivenUp

        try:
            with host.waiting_with(on_wait):
                next(iter(host.generate([REQUEST]))) if ask == "generate" else host.borrow(Model()).__enter__()
        except GivenUp:
            ended.append(name)

    with host.borrow(Model()):
        threads = [threading.Thread(target=wait, args=pair, name=pair[0]) for pair in (("first", 4), ("second", 2))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
    assert asked == {"first": 4, "second": 2} and ended == ["second", "first"]


def test_embeddings_are_known_by_their_files_names(host, caplog):
    rows = torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    embedding.write(host.folder("embeddings") / "zap.safetensors", rows, ["emb_params"], [16], {})
    embedding.write(host.folder("embeddings") / "wide.safetensors", torch.ones(1, 768), ["emb_params"], [768], {})
    named = pixels(draw(host, "a zap"))
    with host.borrow(Model()) as model:
        assert model.embeddings.keys() == {"zap"} and torch.equal(model.embeddings["zap"], rows)
        model.embeddings["zap"] = rows * 2  # what a run trains hides the file
        assert (pixels(draw(host, "a zap")) != named).any()
    (host.folder("embeddings") / "zap.safetensors").unlink()
    assert (pixels(draw(host, "a zap")) != named).any() and not host.model().embeddings


def test_hypernetworks_work_from_prompts(host):
    network = Hypernetwork([16, 32], Structure())
    for parameter in network.parameters():
        parameter.data.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    hypernetwork.write(host.folder("hypernetworks") / "hyper.pt", network, hypernetwork.Facts("hyper"))
    bare, changed = pixels(draw(host)), pixels(draw(host, "a cat<hypernet:hyper:1>"))
    assert (changed != bare).any() and (pixels(draw(host, "a cat<hypernet:hyper:0>")) == bare).all()
    with pytest.raises(UserError, match="hypernetwork"):
        draw(host, "<hypernet:nothing:1>")


def test_a_checkpoint_without_vocabulary_or_family_is_refused(host, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    lonely = tmp_path / "lonely.safetensors"
    save_file(checkpoint_tensors(tiny_sd1()), lonely)
    with pytest.raises(UserError, match="vocab.json"), host.borrow(Model(checkpoint=str(lonely))):
        pass
    foreign = tmp_path / "foreign.safetensors"
    save_file({"model.diffusion_model.x": torch.zeros(1)}, foreign)
    with pytest.raises(UserError, match="family"):
        host.check(Model(checkpoint=str(foreign)))
    bare = {name: tensor for name, tensor in checkpoint_tensors(tiny_sd1()).items() if not name.startswith("first_stage_model.")}
    save_file(bare, tmp_path / "bare.safetensors")
    with pytest.raises(UserError, match="bare.safetensors has no VAE"):
        host.check(Model(checkpoint=str(tmp_path / "bare.safetensors")))
    with host.borrow(Model()):
        pass


@pytest.mark.skipif(not EMBEDDED.exists(), reason="the embedded model is not there")
def test_the_embedded_model_loads():
    host = EmbeddedHost("nowhere", device="cpu")
    assert host.resolution == host.defaults(Model())["dataset"]["resolution"] == 64
    assert len(host.model().tokenizer) == host.model().text_encoders[0].text_model.embeddings.token_embedding.num_embeddings


@pytest.mark.skipif(not EMBEDDED.exists(), reason="the embedded model is not there")
@pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
def test_a_copy_that_has_lost_its_metadata_keeps_its_size(tmp_path, ending):
    """As the WebUI's merger writes it, in half precision and without what the file said of itself."""
    weights = {name: tensor.half() for name, tensor in load_file(EMBEDDED).items()}
    copy = tmp_path / f"copy.{ending}"
    torch.save({"state_dict": weights}, copy) if ending == "ckpt" else save_file(weights, copy)
    host, own = EmbeddedHost(tmp_path / "data", copy), EmbeddedHost(tmp_path / "data")
    assert host.resolution == own.resolution == 64
    assert host.defaults(Model()) == own.defaults(Model())
    weights["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros(64, 9, 3, 3)
    save_file(weights, tmp_path / "inpainting.safetensors")
    assert header.read(tmp_path / "inpainting.safetensors").resolution is None
