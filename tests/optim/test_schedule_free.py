"""Optimizers that step other values than those of the result: files, samples and validation have the mean, the run goes on
with what it stepped. A stand-in of the package, or the package itself where it is there.
"""

import sys
from types import ModuleType

import pytest
import torch

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.optim.schedule_free import showing_means
from tests.hosts import TinyHost, resumed, settings, train
from tests.lora_tools import files

OPTIMIZER = {"optimizer": "AdamWScheduleFree", "lr_scheduler": "constant", "lr_warmup_steps": 0}


class AdamWScheduleFree(torch.optim.Optimizer):
    """The package's outline with plain steps: y is stepped, x is what counts, z leads."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999)):
        super().__init__(params, {"lr": lr, "betas": betas, "k": 0, "train_mode": False})

    def turn(self, train):
        for group in self.param_groups:
            if group["train_mode"] != train:
                beta = group["betas"][0]
                for p in group["params"]:
                    if "z" in self.state[p]:
                        p.data.lerp_(self.state[p]["z"], 1 - beta if train else 1 - 1 / beta)
                group["train_mode"] = train

    def train(self):
        self.turn(True)

    def eval(self):
        self.turn(False)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            assert group["train_mode"]
            group["k"] += 1
            for p in group["params"]:
                if p.grad is not None:
                    z = self.state[p].setdefault("z", p.detach().clone())
                    p.lerp_(z, 1 / group["k"])
                    p.add_(p.grad.sign(), alpha=-group["lr"] * 0.1)
                    z.sub_(p.grad.sign(), alpha=group["lr"])


@pytest.fixture(autouse=True)
def package(monkeypatch):
    try:
        import schedulefree  # noqa: F401
    except ImportError:
        module = ModuleType("schedulefree")
        module.AdamWScheduleFree = AdamWScheduleFree
        monkeypatch.setitem(sys.modules, "schedulefree", module)


def result(host, images, **sections):
    train(host, settings(images, train={"max_train_steps": 4, **OPTIMIZER}, **sections))
    return files.layers(host.folder("lora") / "ron.safetensors")[0]


def test_means_are_shown_and_what_is_stepped_comes_back_bit_for_bit():
    import schedulefree

    parameter = torch.nn.Parameter(torch.randn(5, generator=torch.Generator().manual_seed(0)))
    optimizer = schedulefree.AdamWScheduleFree([{"params": [parameter], "lr": 0.1}])
    optimizer.train()
    for _ in range(3):
        parameter.grad = parameter.detach() * 0.7
        optimizer.step()
    stepped, leading = parameter.detach().clone(), optimizer.state[parameter]["z"]
    with pytest.raises(ZeroDivisionError), showing_means([optimizer], [parameter]):
        assert torch.allclose(0.1 * leading + 0.9 * parameter, stepped, atol=1e-6)  # y of the paper
        assert not torch.equal(parameter, stepped)
        raise ZeroDivisionError
    assert torch.equal(parameter, stepped) and optimizer.param_groups[0]["train_mode"]


def test_files_hold_the_mean_and_saves_and_samples_change_nothing(tmp_path, images):
    plain = result(TinyHost(tmp_path / "plain"), images, validation={"split": 0.3})
    busy = result(TinyHost(tmp_path / "busy"), images, save={"every_n_steps": 1, "state_every_n_steps": 1},
                  sample={"every_n_steps": 1, "prompts": ["ron"], "steps": 1},
                  validation={"split": 0.3, "every_n_steps": 1})
    assert plain and plain.keys() == busy.keys()
    for key, tensors in plain.items():
        assert tensors and all(torch.equal(tensor, busy[key][tail]) for tail, tensor in tensors.items()), key


def test_a_resumed_run_ends_in_the_same_bytes(tmp_path, images):
    hosts = resumed(tmp_path, settings(images, train={"max_train_steps": 4, **OPTIMIZER}))
    whole, parts = (files.layers(host.folder("lora") / "ron.safetensors")[0] for host in hosts)
    assert all(torch.equal(tensor, parts[key][tail]) for key, tensors in whole.items() for tail, tensor in tensors.items())


def test_a_whole_model_is_refused():
    with pytest.raises(UserError, match="dreambooth.ema_decay"):
        Config.from_dict(settings("pictures", method="dreambooth", train=OPTIMIZER))
