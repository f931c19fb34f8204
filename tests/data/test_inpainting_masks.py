"""Holes of pictures for inpainting models."""

import torch

from lib_sdtune.data.inpainting_masks import HOLES, hole
from lib_sdtune.training.objective import Objective
from tests import models
from tests.hosts import TinyHost, settings, train


def test_every_picture_has_a_few_of_its_own_and_one_is_all_of_it():
    masks = [hole("a", number, 24, 16) for number in range(HOLES)]
    assert all(mask.shape == (1, 24, 16) and set(mask.unique().tolist()) <= {0.0, 1.0} for mask in masks)
    assert masks[-1].all() and all(0 < mask.mean() < 1 for mask in masks[:-1])
    assert not torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], hole("b", 0, 24, 16))
    assert torch.equal(masks[1], hole("a", 1, 24, 16)) and hole("a", 0, 1, 1).any()


def test_an_inpainting_run_tells_the_unet_the_hole_and_what_is_left(tmp_path, images, monkeypatch):
    host, heard = TinyHost(tmp_path / "data"), []
    host.model = models.SHALLOW["sd1"](variant=models.VARIANTS["inpainting"])
    host.model.folder = host.folder
    straight = Objective.predict

    def predict(objective, batch, *conditioning):
        heard.append(batch)
        return straight(objective, batch, *conditioning)

    monkeypatch.setattr(Objective, "predict", predict)
    control = train(host, settings(images, validation={"split": 0.3}))
    assert control.state == "finished" and control.artefacts and len(heard) >= 6
    for batch in heard:
        mask, left = batch.concat[:, :1], batch.concat[:, 1:]
        assert left.shape == batch.latents.shape and set(mask.unique().tolist()) <= {0.0, 1.0}
    assert any(not batch.concat[:, :1].all() for batch in heard)
    assert {example.occurrence % HOLES for batch in heard for example in batch.examples} > {0}


def stop_at_three(control):
    if control.state == "training" and control.step == 3:
        control.request("stop_without_saving")


def test_an_interrupted_inpainting_run_is_the_same_run(tmp_path, images):
    def run(folder, stop):
        host = TinyHost(tmp_path / folder)
        host.model = models.SHALLOW["sd1"](variant=models.VARIANTS["inpainting"])
        host.model.folder = host.folder
        config = settings(images)
        if stop:
            train(host, config, watch=stop_at_three)
        train(host, config, resume=stop)
        return (host.folder("lora") / "ron.safetensors").read_bytes()

    assert run("whole", False) == run("broken", True)
