"""Two processes that share the batches learn what one process learns that accumulates over them."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from lib_sdtune.errors import RunError
from lib_sdtune.training import per_image_loss, timestep_sampling
from lib_sdtune.training.parallel import World
from lib_sdtune.training.runs import RunFolder
from tests.hosts import TinyHost, pictures, settings, train
from tests.models import checkpoint_tensors

WORKER = """
import sys, pathlib, json
from lib_sdtune.training import timestep_sampling
from tests.hosts import TinyHost, train
timestep_sampling.BANDS, timestep_sampling.MIN_LOSSES = 2, 1
folder, config = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
train(TinyHost(folder), config)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def share_batches(host, config):
    """A whole run of two processes."""
    common = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WORKER, str(host.data_dir), json.dumps(config)]
    workers = [subprocess.Popen(command, env={**common, "RANK": str(rank)}) for rank in range(2)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]


@pytest.mark.parametrize(("method", "file"), [("lora", "models/Lora"), ("dreambooth", "models/Stable-diffusion")])
def test_two_processes_equal_one_that_accumulates(tmp_path, method, file, monkeypatch):
    monkeypatch.setattr(timestep_sampling, "BANDS", 2)
    monkeypatch.setattr(timestep_sampling, "MIN_LOSSES", 1)
    images = pictures(tmp_path / "2_ron", 2)
    steps = {"max_train_steps": 6, "optimizer": "SGDNesterov", "optimizer_args": {"weight_decay": 0.1}, "stop_text_encoder_training": 1}
    noise = {"timestep_sampling": "loss"}
    config = settings(images, method=method, noise=noise, train=steps, dreambooth={"unet_lr": 1e-3})
    alone = TinyHost(tmp_path / "alone")
    train(alone, settings(images, method=method, noise=noise, train=steps | {"gradient_accumulation_steps": 2}, dreambooth={"unet_lr": 1e-3}))
    share_batches(TinyHost(tmp_path / "both"), config)
    of_one, of_two = (load_file(place / file / "ron.safetensors") for place in (tmp_path / "alone", tmp_path / "both"))
    assert of_one.keys() == of_two.keys()
    assert all(torch.allclose(of_one[name], of_two[name], atol=1e-6) for name in of_one)
    if method == "lora":
        assert any(of_two[name].count_nonzero() for name in of_two if "up.weight" in name)
    else:
        start = checkpoint_tensors(TinyHost(tmp_path / "start").model)
        moved = [float((of_one[name] - start[name]).abs().max()) for name in of_one if "diffusion_model" in name]
        assert max(moved) > 1e-4 and not list((tmp_path / "both").rglob("originals.safetensors"))


@pytest.mark.parametrize("batch_size", [2, 10])
def test_the_loss_is_that_of_all_processes_also_where_an_epoch_ends(tmp_path, batch_size):
    """3 pictures: the last process has fewer of them, or none."""
    images = pictures(tmp_path / "1_ron", 3)
    both, alone = TinyHost(tmp_path / "both"), TinyHost(tmp_path / "alone")
    share_batches(both, settings(images, train={"max_train_steps": 3, "batch_size": batch_size}))
    train(alone, settings(images, train={"max_train_steps": 3, "batch_size": batch_size, "gradient_accumulation_steps": 2}))
    ours, expected = (RunFolder(host.folder("sdtune") / "runs" / "ron").log() for host in (both, alone))
    shown = [{row["file"]: row["shown"] for row in per_image_loss.read(host.folder("sdtune") / "runs" / "ron")["pictures"]} for host in (both, alone)]
    assert shown[0] == shown[1] and len(shown[0]) == 3
    assert [row["loss"] for row in ours] == pytest.approx([row["loss"] for row in expected], rel=1e-4) and len(ours) == 3


def test_a_process_that_has_gone_is_told_in_a_sentence(monkeypatch):
    world = World()
    world.size = 2

    def closed(*_, **__):
        raise RuntimeError("[../gloo/transport/tcp/pair.cc:598] Connection closed by peer")

    monkeypatch.setattr(torch.distributed, "barrier", closed)
    monkeypatch.setattr(torch.distributed, "broadcast_object_list", closed)
    for ask in (world.barrier, lambda: world.broadcast("stop")):
        with pytest.raises(RunError, match="Another process of this run has ended"):
            ask()
    monkeypatch.setattr(torch.distributed, "barrier", lambda: torch.zeros(2) + torch.zeros(3))
    with pytest.raises(RuntimeError, match="size of tensor"):
        world.barrier()
