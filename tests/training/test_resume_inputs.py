"""What stands beside the pictures of a resumed run: another VAE, other embeddings, other pictures that are measured."""

import json

import pytest
import torch

from lib_sdtune.errors import UserError
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.training import state
from tests.hosts import pictures, settings, train


@pytest.fixture
def config(tmp_path, images):
    aside = pictures(tmp_path / "aside", 2, seed=1)
    return settings(images, validation={"images": str(aside), "every_n_steps": 3})


def stop_at_three(control):
    if control.state == "training" and control.step == 3:
        control.request("interrupt")


def stopped(host, config, vae_name=""):
    host.model.vae_name = vae_name
    return train(host, config, watch=stop_at_three)


def another_vae(host):
    with torch.no_grad():
        for parameter in host.model.vae.parameters():
            parameter.mul_(0.5)


def test_the_same_inputs_are_no_news(host, config, caplog):
    stopped(host, config)
    caplog.clear()
    train(host, config, resume=True)
    assert "when the run began" not in caplog.text


def test_another_vae_is_refused_where_both_have_a_name(host, config):
    stopped(host, config, "one.safetensors")
    another_vae(host)
    host.model.vae_name = "two.safetensors"
    with pytest.raises(UserError, match=r"another VAE \(one.safetensors\) than.*\(two.safetensors\).*cannot be resumed"):
        train(host, config, resume=True)


@pytest.mark.parametrize("names", [("", ""), ("one.safetensors", "one.safetensors"), ("", "two.safetensors")])
def test_another_vae_is_told_where_nobody_knows_their_names(host, config, caplog, names):
    stopped(host, config, names[0])
    another_vae(host)
    host.model.vae_name = names[1]
    assert train(host, config, resume=True).state == "finished"
    assert "The VAE has other values" in caplog.text


def test_a_vae_of_another_name_and_the_same_values_is_no_news(host, config, caplog):
    stopped(host, config, "one.safetensors")
    host.model.vae_name = "copy.safetensors"
    assert train(host, config, resume=True).state == "finished" and "VAE has other" not in caplog.text


@pytest.mark.parametrize(("before", "now"), [(0.5, 0.25), (0.5, None), (None, 0.5)])
def test_embeddings_that_captions_name_are_told_when_they_change(host, config, caplog, before, now):
    width = host.model.text_encoders[0].state_dict()["text_model.embeddings.token_embedding.weight"].shape[1]

    def embeddings(value):
        return {"unnamed": torch.zeros(1, width)} | ({} if value is None else {"number": torch.full((1, width), value)})

    host.model.embeddings = embeddings(before)
    stopped(host, config)
    host.model.embeddings = embeddings(now)
    train(host, config, resume=True)
    assert "Embeddings that captions name are others than when the run began: number." in caplog.text


def test_other_pictures_to_measure_are_told(tmp_path, host, config, caplog):
    stopped(host, config)
    (tmp_path / "aside" / "0.png").unlink()
    assert train(host, config, resume=True).state == "finished"
    assert 'The pictures of "validation.images", or their captions, are others' in caplog.text


@pytest.mark.parametrize("kept", [None, {"vae": "damaged"}])
def test_a_state_of_an_earlier_version_goes_on(host, config, kept):
    path = state.newest(stopped(host, config).folder)
    another_vae(host)
    stored = safetensors.Stored(path)
    header = json.loads(stored.metadata["sdtune_state"])
    del header["inputs"]
    safetensors.write(path, dict(stored.items()), {"sdtune_state": json.dumps(header | ({"inputs": kept} if kept else {}))})
    assert train(host, config, resume=True).state == "finished"
