"""A run that is killed without warning, again and again, ends with the same bytes as one that is left alone."""

import json
import os
import random
import subprocess
import sys
import time

from lib_sdtune.training import log
from tests.hosts import TinyHost, pictures, settings, train

WORKER = """
import json, pathlib, sys
from lib_sdtune.training import state
from lib_sdtune.training.runs import folder_of
from tests.hosts import TinyHost, train
host, config = TinyHost(pathlib.Path(sys.argv[1])), json.loads(sys.argv[2])
train(host, config, resume=state.newest(folder_of(host, "ron")) is not None)
"""


def test_killed_at_random_moments(tmp_path):
    config = settings(pictures(tmp_path / "10_ron"), train={"max_train_steps": 20}, save={"state_every_n_steps": 3})
    whole, killed = TinyHost(tmp_path / "whole"), TinyHost(tmp_path / "killed")
    train(whole, config)
    chance = random.Random(time.time_ns())  # another moment at every run of the test
    rows = killed.folder("sdtune") / "runs" / "ron" / "log.csv"
    final = killed.folder("lora") / "ron.safetensors"
    kills = 0
    for target in (4, 12, 1000):
        worker = subprocess.Popen([sys.executable, "-c", WORKER, str(killed.data_dir), json.dumps(config)],
                                  env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
        while worker.poll() is None and not (rows.exists() and any(row["step"] >= target for row in log.read(rows))):
            time.sleep(0.02)
        if worker.poll() is None:
            time.sleep(chance.uniform(0, 0.2))
            worker.kill()
            kills += 1
        assert worker.wait() in (0, 1 if os.name == "nt" else -9), worker.stderr.read().decode()[-2000:]
    assert kills == 2
    assert final.read_bytes() == (whole.folder("lora") / "ron.safetensors").read_bytes()
    assert [row["step"] for row in log.read(rows)] == list(range(1, 21))
    assert not list(killed.data_dir.rglob("*.tmp"))
