"""Two processes that share the batches learn what one process learns that accumulates over them."""

import json
import os
import socket
import subprocess
import sys

import torch
from safetensors.torch import load_file

from tests.hosts import TinyHost, pictures, settings, train

WORKER = """
import sys, pathlib, json
from tests.hosts import TinyHost, train
folder, config = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
train(TinyHost(folder), config)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_two_processes_equal_one_that_accumulates(tmp_path):
    images = pictures(tmp_path / "2_ron", 2)
    config = settings(images, train={"max_train_steps": 3, "optimizer": "SGDNesterov"})
    alone = TinyHost(tmp_path / "alone")
    train(alone, settings(images, train={"max_train_steps": 3, "optimizer": "SGDNesterov", "gradient_accumulation_steps": 2}))
    common = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WORKER, str(tmp_path / "both"), json.dumps(config)]
    workers = [subprocess.Popen(command, env={**common, "RANK": str(rank)}) for rank in range(2)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    one, two = (load_file(place / "models/Lora/ron.safetensors") for place in (tmp_path / "alone", tmp_path / "both"))
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[name], two[name], atol=1e-6) for name in one)
    assert any(two[name].count_nonzero() for name in two if "up.weight" in name)
