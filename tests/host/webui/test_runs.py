"""Whole runs on the WebUI's model: failures at every phase, breathing, and the file in the WebUI's own loader."""

import sys
import threading
from pathlib import Path

import pytest
import webui_probe
from PIL import Image

from lib_sdtune.app import App
from lib_sdtune.config import Config
from lib_sdtune.errors import RunError
from lib_sdtune.sections.model import Model
from lib_sdtune.training.run import run
from lib_sdtune.training.runs import begin
from tests.hosts import pictures
from tests.waiting import until


class Broken(Exception):
    """The failure that tests inject."""


@pytest.fixture
def images(tmp_path):
    return pictures(tmp_path / "ron", count=2, size=(64, 64))


def settings(images, name, **changes):
    base = {"name": name, "overwrite": True, "concepts": [{"images": str(images), "prompt": "a photo of ron"}],
            "dataset": {"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 128},
            "lora": {"dim": 2, "alpha": 2, "unet_lr": 0.05, "text_encoder_lr": 0.01},
            "train": {"max_train_steps": 4}, "save": {"state_every_n_steps": 2, "precision": "float"},
            "sample": {"prompts": ["a photo of ron"], "every_n_steps": 2, "steps": 2, "width": 64, "height": 64}}
    return {**base, **changes}


def train(host, config, watch=None):
    config = Config.from_dict(config)
    control = begin(config, host, on_change=watch)
    return run(config, host, control), control


def broken(*args, **kwargs):
    raise Broken("on purpose")


PHASES = {
    "scan": "lib_sdtune.training.training_data.scan",
    "cache": "lib_sdtune.training.training_data.TrainingData.encode_images",
    "first step": "lib_sdtune.training.objective.Objective.predict",
    "update": "lib_sdtune.training.trainer.Trainer.descend",
    "sample": "lib_sdtune.host.webui.generating.picture",
    "inside a sample": "modules.processing.create_infotext",
    "save": "lib_sdtune.training.state.save",
    "export": "lib_sdtune.methods.lora.LoraMethod.export",
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_failure_leaves_the_webui_as_it_was(host, unchanged, images, monkeypatch, phase):
    monkeypatch.setattr(PHASES[phase], broken)
    Image.effect_noise((64, 64), 50).convert("RGB").save(images / "unseen.png")  # in no cache that an earlier session left
    config = settings(images, f"broken {phase}", dataset={"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 128})
    with pytest.raises((RunError, Broken), match="on purpose"):
        train(host, config)
    assert webui_probe.free()


def test_the_file_is_listed_matches_every_key_and_shows(host, images):
    plain = webui_probe.draw("a photo of ron")
    artefact, control = train(host, settings(images, "ron"))
    assert control.snapshot()["state"] == "finished" and len(control.snapshot()["samples"]) >= 1
    networks = sys.modules["networks"]
    assert "ron" in networks.available_networks
    net = networks.load_network("ron", networks.available_networks["ron"])
    assert len(net.modules) == webui_probe.layers_of_transformers() + 6 * len(webui_probe.text().encoder.layers)
    dressed = webui_probe.draw("a photo of ron <lora:ron:1>")
    assert (dressed != plain).any()
    assert (webui_probe.draw("a photo of ron") == plain).all()
    train(host, settings(images, "ron", train={"max_train_steps": 4, "seed": 99}))
    assert (webui_probe.draw("a photo of ron <lora:ron:1>") != dressed).any(), "the WebUI still used the old file of that name"
    assert Path(artefact.path).with_suffix(".json").exists()


def test_generations_in_between_change_nothing_of_the_result(host, images):
    quiet, _ = train(host, settings(images, "quiet"))
    expected, drawn, users = webui_probe.draw(seed=5), [], []

    def press_generate(control):
        if control.state == "training" and control.step in (1, 2, 3) and len(users) < control.step:
            users.append(threading.Thread(target=lambda: drawn.append(webui_probe.draw(seed=5))))
            users[-1].start()
            until(host.lock.waiting)

    busy, _ = train(host, settings(images, "busy"), press_generate)
    for user in users:
        user.join(timeout=30)
    assert len(drawn) == 3 and all((picture == expected).all() for picture in drawn)
    assert tensors(quiet.path) == tensors(busy.path)


def tensors(path):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key).numpy().tobytes() for key in file.keys()}  # noqa: SIM118


def test_jobs_on_the_webui(host, images):
    jobs = App(lambda: host).jobs
    name = jobs.submit(settings(images, "job", train={"max_train_steps": 300}))
    until(lambda: jobs.status(name)["step"] >= 1)
    jobs.request(name, "pause")
    until(lambda: jobs.status(name)["state"] == "paused" and webui_probe.free())
    webui_probe.draw()
    jobs.request(name, "resume")
    until(lambda: jobs.status(name)["state"] == "training")
    jobs.request(name, "stop")
    until(lambda: jobs.status(name)["state"] == "stopped" and jobs.queue.current is None)
    assert jobs.status(name)["artefacts"] and jobs.status(name)["resumable"]
    assert webui_probe.free()


def test_a_training_of_the_weights_themselves_leaves_them_as_they_were(host, images):
    webui_probe.make_lora("worn")
    plain, dressed = webui_probe.draw(seed=5), webui_probe.draw("a cat <lora:worn:1>", seed=5)
    webui_probe.draw(seed=5)
    before, users = webui_probe.fingerprint(), []

    def press_generate(control):
        if control.state == "training" and control.step == 2 and not users:
            users.append(threading.Thread(target=lambda: drawn.append(webui_probe.draw("a cat <lora:worn:1>", seed=5))))
            users[-1].start()
            until(host.lock.waiting)

    drawn = []
    sample = {"prompts": ["a cat <lora:worn:1>"], "every_n_steps": 1, "steps": 2, "width": 64, "height": 64}
    artefact, _ = train(host, settings(images, "booth", method="dreambooth", dreambooth={"unet_lr": 1e-3, "text_encoder_lr": 1e-3},
                                       sample=sample), press_generate)
    users[0].join(timeout=30)
    assert (drawn[0] == dressed).all(), "a generation in between must see the untrained model"
    assert (webui_probe.draw("a cat <lora:worn:1>", seed=5) == dressed).all() and (webui_probe.draw(seed=5) == plain).all()
    changed = webui_probe.differences(before, webui_probe.fingerprint())
    assert not [key for key in changed if key.startswith(("weights", "flags", "attention"))]
    trained = tensors(artefact.path)
    assert any(key.startswith("model.diffusion_model.") for key in trained)
    assert not any("wrapped" in key or "hyper" in key for key in trained)
    Path(artefact.path).unlink()


@pytest.mark.parametrize(("method", "section", "prompt"), [
    ("textual_inversion", {"lr": 0.5, "init_text": "cat"}, "a made"), ("hypernetwork", {"lr": 0.1}, "a cat <hypernet:made:1>")])
def test_embeddings_and_hypernetworks_can_be_used_at_once(host, images, method, section, prompt):
    plain = webui_probe.draw(prompt, seed=5)
    for caption in images.glob("*.txt"):
        caption.unlink()
    concepts = [{"images": str(images), "prompt": "a photo of made"}]
    train(host, settings(images, "made", method=method, concepts=concepts, **{method: section}))
    dressed = webui_probe.draw(prompt, seed=5)
    assert (dressed != plain).any()
    train(host, settings(images, "made", method=method, concepts=concepts, train={"max_train_steps": 2, "seed": 5}, **{method: section}))
    assert (webui_probe.draw(prompt, seed=5) != dressed).any(), "the WebUI still used the old file of that name"


@pytest.mark.parametrize("kind, name", [("embeddings", "zzz/zz-made.safetensors"), ("hypernetworks", "zzz/zz-made.pt"), ("lora", "zzz/zz-made.safetensors")])
def test_a_file_that_the_webui_reads_in_place_of_the_new_one_is_named(host, kind, name):
    import shutil

    from lib_sdtune.methods.base import Artefact

    ending = Path(name).suffix
    written, other = host.folder(kind) / f"zz-made{ending}", host.folder(kind) / name
    try:
        make(host, kind, written)
        host.publish(Artefact(written, kind, ""))
        other.parent.mkdir(exist_ok=True)
        shutil.copy(written, other)
        with pytest.raises(RunError, match="under the name zz-made, not"):
            host.publish(Artefact(written, kind, ""))
    finally:
        written.unlink(missing_ok=True)
        shutil.rmtree(other.parent, ignore_errors=True)
        refresh(kind)


def make(host, kind, path):
    import torch

    from lib_sdtune.artefacts import embedding, hypernetwork
    from lib_sdtune.formats import tensors
    from lib_sdtune.networks.hypernetwork import Hypernetwork, Structure

    with host.borrow(Model()) as model:
        widths = [tower.text_model.embeddings.token_embedding.weight.shape[1] for tower in model.text_encoders]
        if kind == "embeddings":
            embedding.write(path, torch.ones(1, sum(widths)), model.family.embedding_keys, widths, {})
        elif kind == "hypernetworks":
            hypernetwork.write(path, Hypernetwork(widths, Structure()), hypernetwork.Facts(path.stem))
        else:
            target = next(iter(model.family.targets(model)))
            out, into = target.layer.weight.shape[:2]
            tensors.write(path, {f"{target.key}.lora_down.weight": torch.ones(1, into), f"{target.key}.lora_up.weight": torch.ones(out, 1),
                                 f"{target.key}.alpha": torch.tensor(1.0)})


def refresh(kind):
    from modules import shared
    from modules.sd_hijack import model_hijack

    if kind == "embeddings":
        model_hijack.embedding_db.load_textual_inversion_embeddings(force_reload=True)
    elif kind == "hypernetworks":
        shared.reload_hypernetworks()
    elif "networks" in sys.modules:
        sys.modules["networks"].list_available_networks()
