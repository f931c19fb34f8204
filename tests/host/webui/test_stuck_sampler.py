"""A sampler that does not come back: whoever waits is told where it stays, and Stop ends the picture where it still answers."""

import importlib.util
import threading

import pytest
import webui_probe

from lib_sdtune.config import Config
from lib_sdtune.errors import RunError
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.watcher import watched
from lib_sdtune.training import class_pictures, state
from lib_sdtune.training.run import run
from lib_sdtune.training.runs import begin
from tests.host.webui.test_beside_others import install
from tests.host.webui.test_runs import pictures, settings
from tests.waiting import until

REQUEST = SampleRequest("a cat in a hat", steps=webui_probe.STEPS, cfg_scale=4, seed=7, width=webui_probe.SIZE, height=webui_probe.SIZE, sampler="Euler")
CODE = """
def decode(entered, gate):
    entered.set()
    assert gate.wait(60)
"""


@pytest.fixture
def quick(monkeypatch):
    """The watch looks often, and soon takes a picture for stuck."""
    monkeypatch.setattr("lib_sdtune.host.webui.sampler_watchdog.INTERVAL", 0.01)
    monkeypatch.setattr("lib_sdtune.host.webui.sampler_watchdog.PATIENCE", 0.05)


@pytest.fixture
def stuck(host, quick, tmp_path, monkeypatch):
    """(entered, gate): the VAE of every picture waits inside an extension until the gate is open."""
    from modules import extensions, shared

    folder = tmp_path / "sticky"
    folder.mkdir()
    (folder / "sticky.py").write_text(CODE)
    spec = importlib.util.spec_from_file_location("sdtune_sticky", folder / "sticky.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    before = list(extensions.extensions)
    install(folder)
    entered, gate = threading.Event(), threading.Event()
    nextjob = shared.state.nextjob  # what the WebUI calls at a picture's end
    monkeypatch.setattr(shared.state, "nextjob", lambda: (module.decode(entered, gate), nextjob())[1])
    yield entered, gate
    gate.set()
    extensions.extensions[:] = before


def test_who_waits_is_told_since_when_and_in_whose_code(host, stuck):
    _, gate = stuck
    sentences = []

    def report(sentence):
        sentences.append(sentence)
        if "sticky" in sentence:
            gate.set()

    with watched(lambda: False, report):
        assert next(host.generate([REQUEST]))
    assert sentences[0].startswith("drawing a picture since ") and sentences[-1] == ""
    stayed = next(sentence for sentence in sentences if "sticky" in sentence)
    assert '"a cat in a hat" (seed 7)' in stayed and "has got no further for 1 min" in stayed and 'inside the extension "sticky"' in stayed and "resume" in stayed
    assert not [thread for thread in threading.enumerate() if thread.name == "sdtune-progress"]


def test_stop_is_remembered_by_a_sampler_that_hangs(host, stuck, tmp_path, caplog):
    entered, gate = stuck
    config = Config.from_dict(settings(pictures(tmp_path / "ron", size=(64, 64)), "sticky", train={"max_train_steps": 4},
                                       sample={"every_n_steps": 3, "steps": 2, "prompts": ["a cat"], "width": 64, "height": 64}))
    control = begin(config, host, False)
    run_thread = threading.Thread(target=lambda: run(config, host, control))
    run_thread.start()
    assert entered.wait(120)
    assert state.newest(control.folder).stem == "step00000003", "a kill now would lose steps"
    until(lambda: "sticky" in control.snapshot()["message"])
    control.request("stop")
    assert control.snapshot()["state"] == "training" and "Stop are remembered" in control.snapshot()["drawing"]
    gate.set()
    run_thread.join(120)
    assert control.state == "stopped" and control.step == 3 and "drawing" not in control.snapshot()
    assert 'the extension "sticky"' in (control.folder / "run.log").read_text()


def test_a_picture_that_nobody_wants_any_more_ends_at_the_next_step(host, quick, monkeypatch):
    from modules import shared

    asked = threading.Event()
    interrupted, nextjob = [], shared.state.nextjob

    def slow():
        asked.set()
        until(lambda: shared.state.interrupted)
        interrupted.append(True)
        nextjob()

    monkeypatch.setattr(shared.state, "nextjob", slow)
    with watched(asked.is_set, lambda sentence: None):
        assert list(host.generate([REQUEST, REQUEST])) == [] and interrupted == [True]
    assert not shared.state.interrupted, "the user's next picture must not be interrupted"


def test_a_stop_while_the_first_class_picture_is_drawn_is_a_stop(host, tmp_path):
    class Asked(Exception):
        pass

    concept = {"images": str(pictures(tmp_path / "ron")), "prompt": "a ron cat", "class_images": str(tmp_path / "class"), "class_prompt": "a cat", "num_class_images": 2}
    config, over = Config.from_dict(settings("", "class", concepts=[concept])), []

    def progress(done, total, text):
        if over:
            raise Asked
        over.append(True)

    with watched(lambda: bool(over), lambda sentence: None), pytest.raises(Asked):
        class_pictures.draw(config, host, progress)
    with watched(lambda: bool(over), lambda sentence: None), pytest.raises(RunError, match="start the run again"):
        class_pictures.draw(config, host, lambda *asked: None)
