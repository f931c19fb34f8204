"""The WebUI is killed, or its page reloaded, in the middle of a run: nothing is lost, and resuming ends in the same bytes.

SDTUNE_WEBUI_RESTART is a command that kills the WebUI without warning, starts it again, and ends when it answers.
SDTUNE_WEBUI_STICKY is where the WebUI has its copy of the extension tests/webui/sticky.
"""

import os
import shlex
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
from pathlib import Path

import pytest

from tests.webui.test_live import finished, tensors, train


@pytest.fixture
def restart():
    command = os.environ.get("SDTUNE_WEBUI_RESTART")
    if not command:
        pytest.skip("the WebUI must be killed for this: put a command that does, and starts it again, into SDTUNE_WEBUI_RESTART")
    return lambda: subprocess.run(shlex.split(command), check=True, timeout=600)


def drawing_again_and_again(webui, over):
    """Threads that ask for one picture after the other until the WebUI is gone, so that a run lends its model all the time."""
    def draw():
        while not over.is_set():
            try:
                webui.draw("a cat", steps=20)
            except (OSError, urllib.error.URLError, ConnectionError, AssertionError):
                return

    users = [threading.Thread(target=draw) for _ in range(3)]
    for user in users:
        user.start()
    return users


def test_killed_while_a_picture_interrupts_the_run(webui, config, restart):
    config |= {"train": {"max_train_steps": 12}}
    quiet = train(webui, {**config, "name": "fault quiet"})
    expected = webui.until(quiet, finished)
    name, over = train(webui, {**config, "name": "fault killed"}), threading.Event()
    webui.until(name, lambda run: run["step"] >= 3)
    users = drawing_again_and_again(webui, over)
    interrupted = webui.until(name, lambda run: run["waiting"])
    assert interrupted["state"] == "training" and interrupted["step"] < 12
    restart()
    over.set()
    for user in users:
        user.join()
    run = webui.run(name)
    assert run["state"] == "stopped" and run["resumable"]
    assert webui.order(f"/runs/{name}/resume")[0] == 200
    assert tensors(webui.until(name, finished)["artefacts"][-1]) == tensors(expected["artefacts"][-1])


@pytest.fixture
def stuck():
    """A file; as long as it is there, every picture stays in the extension "sticky"."""
    if "SDTUNE_WEBUI_STICKY" not in os.environ:
        pytest.skip("copy tests/webui/sticky into the WebUI's extensions, and put where it is into SDTUNE_WEBUI_STICKY")
    path = Path(os.environ["SDTUNE_WEBUI_STICKY"]) / "stuck"
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("ends", ["answers", "is killed"])
def test_a_sampler_that_hangs(webui, config, stuck, request, ends):
    config |= {"train": {"max_train_steps": 6}, "save": {"state_every_n_steps": 100, "precision": "float"},
               "sample": {"prompts": ["a photo of ron"], "every_n_steps": 3, "steps": 2, "width": 64, "height": 64}}
    expected = webui.until(train(webui, {**config, "name": "fault quiet"}), finished)
    stuck.touch()
    name = train(webui, {**config, "name": "fault stuck"})
    webui.until(name, lambda run: "drawing a picture since" in run["message"])
    run = webui.until(name, lambda run: 'inside the extension "sticky"' in run["message"])
    assert run["step"] == 3 and "a photo of ron" in run["message"]
    assert webui.order(f"/runs/{name}/stop")[0] == 200
    if ends == "answers":
        stuck.unlink()
    else:
        restart = request.getfixturevalue("restart")
        stuck.unlink()
        restart()
    assert webui.until(name, lambda run: run["state"] == "stopped")["step"] == 3
    assert webui.order(f"/runs/{name}/resume")[0] == 200
    run = webui.until(name, finished)
    assert tensors(run["artefacts"][-1]) == tensors(expected["artefacts"][-1]) and len(run["samples"]) == 2


def reload_ui(webui):
    """What the button Reload UI does."""
    page = webui.call("/config")[1]
    button = next(part["id"] for part in page["components"] if part["props"].get("elem_id") == "settings_restart_gradio")
    number = next(number for number, event in enumerate(page["dependencies"]) if [button, "click"] in event["targets"]
                  or button in event["targets"])
    webui.call("/run/predict", {"fn_index": number, "data": [], "session_hash": "x"})


@pytest.mark.parametrize("phase", ["preparing", "training", "paused"])
def test_the_page_reloaded_in_mid_run(webui, config, phase):
    """On a WebUI of its own: where gradio's queue has lost a page (test_attacks), its server never ends, reloaded or not."""
    config |= {"train": {"max_train_steps": 40}}
    name = train(webui, config)
    if phase == "paused":
        webui.until(name, lambda run: run["step"] >= 2)
        webui.order(f"/runs/{name}/pause")
    webui.until(name, lambda run: run["state"] == phase or phase == "preparing")
    reload_ui(webui)
    time.sleep(3)
    answers(webui, name)
    if webui.run(name)["state"] in ("paused", "stopped"):
        assert webui.order(f"/runs/{name}/resume")[0] == 200
    assert webui.until(name, finished)["step"] == 40


def answers(webui, name, seconds=120):
    """Wait until the WebUI has its pages and routes again.

    It is not asked before it has had some seconds: a request between its two halves of starting ends the WebUI 1.10 itself
    ("Cannot add middleware after an application has started").
    """
    address = urllib.parse.urlsplit(webui.url)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as attempt:
            attempt.settimeout(1)
            if attempt.connect_ex((address.hostname, address.port)) == 0:
                break
        time.sleep(0.5)
    time.sleep(10)
    assert webui.tune(f"/runs/{name}")[0] == 200
