"""Runs of every family on a small model: stopped or killed and gone on with, they are the same run; half precision."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.methods import registry as methods
from tests.hosts import TinyHost, bits, settings, train
from tests.models import SHALLOW

CHANGES = {"lora": {"lora": {"dim": 4, "alpha": 2, "unet_lr": 1e-3, "text_encoder_lr": 1e-3}},
           "dreambooth": {"dreambooth": {"unet_lr": 1e-3, "text_encoder_lr": 1e-3}},
           "textual_inversion": {"textual_inversion": {"token": "ron", "lr": 0.1}},
           "hypernetwork": {"hypernetwork": {"lr": 1e-3, "dropout": True}}}


WORKER = """
import json, os, pathlib, signal, sys
from lib_sdtune.training import state
from lib_sdtune.training.runs import folder_of
from lib_sdtune.training.objective import Objective
from tests.hosts import train
from tests.training.test_families import tiny_host

folder, family, config, killed_at = sys.argv[1:]
host, predict = tiny_host(pathlib.Path(folder), family), Objective.predict

def predict_or_death(objective, *batch):
    if objective.step == int(killed_at):
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return predict(objective, *batch)

if int(killed_at):
    Objective.predict = predict_or_death
train(host, json.loads(config), resume=state.newest(folder_of(host, "ron")) is not None)
"""


def tiny_host(folder, family):
    host = TinyHost(folder)
    host.model = SHALLOW[family]()
    host.model.folder = host.folder
    return host


def stop_at_three(control):
    if control.state == "training" and control.step == 3:
        control.request("stop_without_saving")


@pytest.mark.parametrize("family", ["sd2", "sdxl"])
@pytest.mark.parametrize("method", CHANGES)
def test_a_run_that_is_gone_on_with_is_the_same_run(family, method, tmp_path, images):
    def run(folder, stop):
        host = tiny_host(tmp_path / folder, family)
        config = settings(images, method=method, **CHANGES[method])
        if stop:
            assert train(host, config, watch=stop_at_three).state == "stopped"
        control = train(host, config, resume=stop)
        assert control.state == "finished"
        return Path(control.artefacts[0]).read_bytes()

    whole = run("whole", False)
    assert whole and whole == run("broken", True)


ALWAYS_KILLED = [("sd2", "lora"), ("sdxl", "dreambooth")]


@pytest.mark.parametrize(("family", "method"), [(family, method) for family in SHALLOW for method in CHANGES])
def test_killed_without_warning_it_is_the_same_run(family, method, tmp_path, images, request):
    """kill -9 in the middle of a step, between a state and the next one."""
    if (family, method) not in ALWAYS_KILLED and not request.config.getoption("--campaign"):
        pytest.skip("all families and methods are killed with --campaign 1")
    config = settings(images, method=method, **CHANGES[method], save={"state_every_n_steps": 2})
    whole, killed = tiny_host(tmp_path / "whole", family), tiny_host(tmp_path / "killed", family)
    assert train(whole, config).state == "finished"
    ends = [subprocess.run([sys.executable, "-c", WORKER, str(killed.data_dir), family, json.dumps(config), str(step)], timeout=300,
                           env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}).returncode for step in (3, 0)]
    assert ends == [1 if os.name == "nt" else -9, 0]
    kind = KINDS[methods[method].kind]
    file = next(path for path in whole.folder(kind.folder).iterdir() if path.stem == "ron" and path.suffix in kind.endings)
    assert file.read_bytes() == (killed.data_dir / file.relative_to(whole.data_dir)).read_bytes()


def halves_are_multiplied():
    """Whether this torch calculates with halves on a processor; 2.1 does not."""
    try:
        return bool(torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3).half(), torch.ones(1, 1, 3, 3).half()).item())
    except RuntimeError:
        return False


@pytest.mark.skipif(not halves_are_multiplied(), reason="this torch has no halves on the processor")
@pytest.mark.parametrize("precision", ["auto", "no"])
@pytest.mark.parametrize("family", SHALLOW)
def test_a_checkpoint_of_halves_is_trained_and_comes_back_as_it_was(family, precision, tmp_path, images):
    host = tiny_host(tmp_path, family)
    for _, module in host.model.modules():
        module.half()
    before = bits(host.model)
    control = train(host, settings(images, train={"max_train_steps": 2, "mixed_precision": precision}))
    assert control.state == "finished" and math.isfinite(control.loss)
    after = bits(host.model)
    assert all(after[name].dtype == torch.float16 and torch.equal(after[name], tensor) for name, tensor in before.items())
