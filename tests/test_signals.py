"""What ends a process politely (Ctrl+C, `docker stop`, systemd) saves the state of a run first."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from lib_sdtune.__main__ import main
from lib_sdtune.artefacts import card
from tests.hosts import TinyHost, pictures, settings, train
from tests.test_architecture import ROOT
from tests.test_end_to_end import prepared
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows cannot end one process politely")


def started(*arguments, options=()):
    return subprocess.Popen([sys.executable, *options, "-m", "lib_sdtune", *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url):
    try:
        return urllib.request.urlopen(url).status == 200
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_tab_saves_the_state_of_a_run_before_it_leaves(tmp_path, number):
    config = json.loads((prepared(tmp_path) / "run.json").read_text())
    config |= {"train": {"max_train_steps": 5000, "batch_size": 1}, "concepts": [{"images": str(tmp_path / "pictures")}]}
    port = free_port()
    process = started("ui", "--port", port, "--data-dir", tmp_path / "data")
    url, run = f"http://127.0.0.1:{port}/sdtune/v1/runs", tmp_path / "data" / "sdtune" / "runs" / "ron"
    until(lambda: answers(url))
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(config).encode(), {"Content-Type": "application/json"}))
    until(lambda: json.load(urllib.request.urlopen(f"{url}/ron"))["step"] >= 1, 120)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and list((run / "state").glob("*.safetensors")), err
    assert json.loads((run / "status.json").read_text())["state"] == "stopped"


def test_a_command_that_is_ended_in_the_middle_of_its_imports_says_so(tmp_path):
    process = started("train", prepared(tmp_path) / "run.json", options=("-X", "importtime"))
    assert any("lib_sdtune.config" in line for line in process.stderr)  # reads on until there
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err.splitlines()[-1] == "Interrupted."


@pytest.mark.parametrize("times", [1, 2])
def test_who_interrupts_after_the_final_file_was_written_comes_too_late(tmp_path, capsys, monkeypatch, times):
    """Once, and what goes with the file is written all the same; twice, and it is said that it may be missing."""
    write = card.write

    def interrupted(*what):
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        write(*what)

    monkeypatch.setattr(card, "write", interrupted)
    assert main(["train", str(prepared(tmp_path) / "run.json"), "--data-dir", str(tmp_path / "data")]) == 0
    file, last_line = tmp_path / "data" / "models" / "Lora" / "ron.safetensors", capsys.readouterr().out.splitlines()[-1]
    status = json.loads((tmp_path / "data" / "sdtune" / "runs" / "ron" / "status.json").read_text())
    assert status["state"] == "finished" and status["artefacts"][-1] == str(file) and file.exists()
    assert file.with_suffix(".json").exists() == (times == 1)
    assert last_line == str(file) if times == 1 else f"{file} is written" in last_line and "card" in last_line


@pytest.mark.parametrize("request_", ["stop", "interrupt"])
def test_a_run_whose_last_step_is_done_ends_as_it_is(tmp_path, request_):
    """Asked to stop at its last step it is finished; asked to leave before its file is written it is not."""
    def ask(control):
        if control.state == "training" and control.step == 6:
            control.request(request_)

    host = TinyHost(tmp_path / "data")
    control = train(host, settings(pictures(tmp_path / "10_ron")), watch=ask)
    written = (host.folder("lora") / "ron.safetensors").exists()
    assert (control.state, written) == {"stop": ("finished", True), "interrupt": ("stopped", False)}[request_]


def test_the_end_of_python_itself_is_not_interrupted(tmp_path):
    """Whatever signal comes while it takes itself down, the code is that of what was done."""
    code = ("import atexit, signal\nfrom lib_sdtune import __main__ as door\n"
            "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
            "atexit.register(signal.raise_signal, signal.SIGTERM)\ndoor.leave(door.main(['list', 'methods']))")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
