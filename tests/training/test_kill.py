"""A run that is killed without warning, again and again, ends with the same bytes as one that is left alone."""

import json
import os
import random
import subprocess
import sys
import time

import pytest
import torch

from lib_sdtune.training import log_csv
from tests.hosts import TinyHost, pictures, settings, train

WORKER = """
import json, pathlib, sys
from lib_sdtune.training import state
from lib_sdtune.training.runs import folder_of
from tests.hosts import TinyHost, train
host, config = TinyHost(pathlib.Path(sys.argv[1])), json.loads(sys.argv[2])
train(host, config, resume=state.newest(folder_of(host, "ron")) is not None)
"""


WHOLE_MODEL = {"method": "dreambooth", "train": {"max_train_steps": 10, "stop_text_encoder_training": 7},
               "dreambooth": {"unet_lr": 1e-4, "text_encoder_lr": 1e-5, "weights": "bfloat16", "ema_decay": 0.9}}


@pytest.mark.parametrize(("kind", "changes", "moments"), [("lora", {"train": {"max_train_steps": 20}}, (4, 12)), ("checkpoints", WHOLE_MODEL, (4,))],
                         ids=["lora", "dreambooth"])
def test_killed_at_random_moments(request, tmp_path, kind, changes, moments):
    """Once by default, at another step each time; with --campaign at each of the steps, one after the other."""
    if not request.config.getoption("--campaign"):
        moments = (random.choice(moments),)
    config = settings(pictures(tmp_path / "10_ron"), save={"state_every_n_steps": 3}, **changes)
    whole, killed = TinyHost(tmp_path / "whole"), TinyHost(tmp_path / "killed")
    train(whole, config)
    chance = random.Random(time.time_ns())  # another moment at every run of the test
    rows = killed.folder("sdtune") / "runs" / "ron" / "log.csv"
    final = killed.folder(kind) / "ron.safetensors"
    kills = 0
    for target in (*moments, 1000):
        worker = subprocess.Popen([sys.executable, "-c", WORKER, str(killed.data_dir), json.dumps(config)],
                                  env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}, stderr=subprocess.PIPE)
        while worker.poll() is None and not (rows.exists() and any(row["step"] >= target for row in log_csv.read(rows))):
            time.sleep(0.02)
        if worker.poll() is None:
            time.sleep(chance.uniform(0, 0.2))
            worker.kill()
            kills += 1
        assert worker.wait() in (0, 1 if os.name == "nt" else -9), worker.stderr.read().decode()[-2000:]
    assert kills == len(moments)
    assert final.read_bytes() == (whole.folder(kind) / "ron.safetensors").read_bytes()
    assert [row["step"] for row in log_csv.read(rows)] == list(range(1, config["train"]["max_train_steps"] + 1))
    assert not list(killed.data_dir.rglob("*.tmp"))
