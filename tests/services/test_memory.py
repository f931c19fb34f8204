"""What a training needs, through the API: estimated, or measured in the queue."""

import threading

import torch

from lib_sdtune.loaded_model import ModelSpec
from tests.hosts import settings


def test_two_steps_are_measured_in_the_queue(ask, images, app, ended):
    assert ask("/measure", method="get") == {"work": None, "found": None}
    ask("/measure", settings(images) | {"name": ""})
    seen = ended("/measure")
    assert seen["work"]["state"] == "done" and seen["found"]["measured"] and seen["found"]["fits"] and seen["found"]["changes"] == {}
    assert seen["found"]["sentence"].startswith("Measured: a step ") and "{" not in seen["found"]["sentence"]
    assert app.jobs.runs() == [] and not (app.host.folder("sdtune") / "measuring").exists()


def test_measuring_refuses_what_start_would_and_can_be_stopped(ask, images, app, ended):
    assert "images" in ask("/measure", {"concepts": [{"images": str(images / "none")}]}, wrong=422)
    gate = threading.Event()
    app.context.queue.run_when_free(gate.wait)  # somebody before us
    ask("/measure", settings(images))
    assert "already" in ask("/measure", settings(images), wrong=422)
    ask("/measure/stop")
    gate.set()
    assert ended("/measure")["work"]["state"] == "stopped"


def test_memory_is_guessed_without_pictures_where_the_host_knows_its_model(ask, app, monkeypatch):
    settings = {"concepts": [{"images": "not there yet"}], "method": "dreambooth"}
    assert ask("/memory", settings) == {}
    shapes = {"unet": {"input_blocks.0.0.weight": (320, 4, 3, 3)}, "vae": {}, "text_encoder_1": {}}
    monkeypatch.setattr(app.host, "model_spec", lambda model: ModelSpec(shapes, torch.float32, torch.device("cpu")), raising=False)
    facts = ask("/memory", settings)
    assert not facts["measured"] and facts["needs"] > 0 and facts["sentence"].startswith("Estimated: a step needs about ")
