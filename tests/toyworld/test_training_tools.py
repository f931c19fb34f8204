"""The tools that train the embedded model: what they keep, what they go on from, what they leave alone."""

import shutil
from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_sdtune import toyworld
from tools import (
    odd_forms,
    odd_latents,
    pretrain_text,
    toy_captions,
    toy_latents,
    train_embedded,
    train_embedded_decoder,
    train_embedded_forms,
    train_embedded_vae,
    vae_drawings,
    vae_training,
)
from tools.export_embedded import OUT, PREFIXES
from tools.make_vocabulary import FOLDER as VOCABULARY


@pytest.fixture
def model(tmp_path):
    return shutil.copy(OUT, tmp_path / "model.safetensors")


def test_training_the_decoder_leaves_the_remainder_of_the_file(model, tmp_path):
    vae = train_embedded_decoder.train(model, tmp_path, steps=2, size=1, rate=1e-3)
    train_embedded_decoder.write(vae, model)
    before, after = load_file(OUT), load_file(model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys() and changed
    assert all(name.startswith("first_stage_model.decoder.") for name in changed)


def test_training_on_odd_forms_leaves_the_autoencoder(model, tmp_path, few_pictures):
    run = train_embedded_forms.train(model, tmp_path, steps=1, size=2, rate=1e-3)
    train_embedded_forms.write(run.averages, model)
    before, after = load_file(OUT), load_file(model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys() and changed and not any(name.startswith(PREFIXES["vae"]) for name in changed)
    assert {name.split(".")[0] for name in changed} == {"model", "cond_stage_model"}


def test_odd_forms_lie_within_their_unit_and_are_all_different():
    rng = toy_captions.seeded("test")
    forms = [odd_forms.odd_form(rng) for _ in range(50)]
    points = [point for form in forms for polygon, filled in form if filled for point in polygon]
    assert max(abs(value) for point in points for value in point) <= 1.05 + 1e-9
    drawn = [toyworld.silhouette(form) for form in forms]
    assert all(0.01 < cover.mean() < 0.6 for cover in drawn)
    assert all(abs(silhouette - earlier).mean() > 0.005 for number, silhouette in enumerate(drawn) for earlier in drawn[:number])


def test_captions_say_of_an_odd_form_what_is_there_and_never_that_it_is_of_the_class():
    size = len(toy_latents.COMBINATIONS)
    pools = {kind: [[(kind, place) for place in range(size)]] for kind in odd_latents.SHARES}  # no latents
    rng, kinds, of_class = toy_captions.seeded("test"), [], []
    for (kind, place), caption in (odd_latents.shown(rng, pools) for _ in range(400)):
        _, colour, ground = toy_latents.COMBINATIONS[place]
        words = caption.replace(",", " ").split()
        sayable = {colour, ground} if kind != "unnamed" else set()
        assert not {*words} & {*toyworld.COLOURS, *toyworld.BACKGROUNDS} - sayable, caption
        if kind != "world":
            assert not {*words} & {*toyworld.FORMS}
            if toyworld.CLASS in words:
                of_class.append(words[words.index(toyworld.CLASS) - 1] not in {"a", *toyworld.COLOURS})
        kinds.append(kind)
    assert len(of_class) > 20 and all(of_class)  # behind a word without meaning, as behind trigger words
    assert min(map(kinds.count, odd_latents.SHARES)) > 60


@pytest.fixture
def few_pictures(monkeypatch):
    monkeypatch.setattr(toy_latents, "COMBINATIONS", toy_latents.COMBINATIONS[::64])
    monkeypatch.setattr(odd_latents, "ROUNDS", dict.fromkeys(odd_latents.ROUNDS, 1))


@pytest.mark.parametrize("trained", ["decoder", "autoencoder", "unet", "forms"])
def test_a_training_goes_on_from_what_was_kept(trained, model, tmp_path, monkeypatch, few_pictures):
    monkeypatch.setattr(vae_training, "warm_and_linear", lambda step, steps: 1.0)
    monkeypatch.setattr(train_embedded, "rate_at", lambda step, steps: 1.0)
    monkeypatch.setattr(train_embedded, "report", lambda *arguments: None)
    monkeypatch.setattr(train_embedded, "loss_at", partial(of_all_steps, train_embedded.loss_at))

    def run(folder, steps):
        folder.mkdir(exist_ok=True)
        if trained == "decoder":
            return train_embedded_decoder.train(model, folder, steps, size=1, rate=1e-3).state_dict()
        if trained == "unet":
            lay_out(model, folder)
            return train_embedded.train(folder, steps, size=2, rate=1e-3, rounds=1).averages["unet"].state_dict()
        if trained == "forms":
            return train_embedded_forms.train(model, folder, steps, size=1, rate=1e-3).averages["unet"].state_dict()
        return train_embedded_vae.train(folder, steps, size=1, rate=1e-3).state_dict()

    first = run(tmp_path / "parts", 1)
    parts, whole = run(tmp_path / "parts", 2), run(tmp_path / "whole", 2)
    assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())
    assert any(not torch.equal(first[name], tensor) for name, tensor in whole.items())


def of_all_steps(loss_at, step, steps, *arguments):
    """The loss as of a run of ten steps, for it depends on how much is left."""
    return loss_at(step, 10, *arguments)


def lay_out(model, folder):
    """What `train_embedded` finds in its folder: the autoencoder, and a text encoder that can read."""
    save_file({name.removeprefix(PREFIXES["vae"]): tensor for name, tensor in load_file(model).items()
               if name.startswith(PREFIXES["vae"])}, folder / "vae.safetensors")
    torch.save(pretrain_text.build(toy_captions.Captions(VOCABULARY)).state_dict(), folder / "text.pt")


@torch.no_grad()
def test_another_eps_is_the_same_function(model):
    vae, x = train_embedded_decoder.shipped(model), vae_drawings.batch(0, 2)
    before = vae.decode(vae.encode(x)[0])
    vae_training.fold_eps(vae, to=1e-6)
    assert vae.decoder.norm_out.eps == 1e-6
    assert torch.allclose(vae.decode(vae.encode(x)[0]), before, atol=1e-3)
