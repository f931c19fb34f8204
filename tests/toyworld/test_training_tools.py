"""The tools that train the embedded model's autoencoder: what they keep, what they go on from, what they leave alone."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from tools import train_embedded_decoder, train_embedded_vae, vae_drawings, vae_training
from tools.export_embedded import OUT


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


@pytest.mark.parametrize("trained", ["decoder", "autoencoder"])
def test_a_training_goes_on_from_what_was_kept(trained, model, tmp_path, monkeypatch):
    monkeypatch.setattr(vae_training, "warm_and_linear", lambda step, steps: 1.0)

    def run(folder, steps):
        folder.mkdir(exist_ok=True)
        if trained == "decoder":
            return train_embedded_decoder.train(model, folder, steps, size=1, rate=1e-3).state_dict()
        return train_embedded_vae.train(folder, steps, size=1, rate=1e-3).state_dict()

    first = run(tmp_path / "parts", 1)
    parts, whole = run(tmp_path / "parts", 2), run(tmp_path / "whole", 2)
    assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())
    assert any(not torch.equal(first[name], tensor) for name, tensor in whole.items())


@torch.no_grad()
def test_another_eps_is_the_same_function(model):
    vae, x = train_embedded_decoder.shipped(model), vae_drawings.batch(0, 2)
    before = vae.decode(vae.encode(x)[0])
    vae_training.fold_eps(vae, to=1e-6)
    assert vae.decoder.norm_out.eps == 1e-6
    assert torch.allclose(vae.decode(vae.encode(x)[0]), before, atol=1e-3)
