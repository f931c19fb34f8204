"""What ends a process politely (Ctrl+C, `docker stop`, systemd) saves the state of a run first."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

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
