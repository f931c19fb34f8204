"""Optimizers whose packages may be missing: the package's name in a sentence, and its class where it is there."""

import sys
from types import ModuleType

import pytest
import torch

from lib_sdtune import optim
from lib_sdtune.errors import UserError

PACKAGES = {"CAME": ("came_pytorch", "came-pytorch"), "DAdaptAdam": ("dadaptation", "dadaptation"),
            "DAdaptLion": ("dadaptation", "dadaptation"), "DAdaptSGD": ("dadaptation", "dadaptation"),
            "Adafactor": ("transformers.optimization", "transformers")}


def groups():
    return [{"params": [torch.nn.Parameter(torch.ones(3, 2))], "lr": 1e-3}]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_named(monkeypatch, name):
    module, package = PACKAGES[name]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=f"needs the package {package};"):
        optim.make(name, {}, groups())


@pytest.mark.parametrize("name", [name for name in PACKAGES if name != "Adafactor"])
def test_the_packages_class_gets_the_groups_and_the_arguments(monkeypatch, name):
    module = ModuleType(PACKAGES[name][0])
    setattr(module, name, type(name, (torch.optim.AdamW,), {}))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    optimizer = optim.make(name, {"weight_decay": 0.25}, groups())
    assert type(optimizer).__name__ == name
    assert optimizer.param_groups[0]["weight_decay"] == 0.25 and optimizer.param_groups[0]["lr"] == 1e-3
    assert optim.finds_rate(name) == name.startswith("DAdapt") == optim.needs_all(name)


def test_adafactor_is_the_published_one():
    """Algorithm 4 of the paper without momentum, by hand: second moments factored over rows and columns, the update
    clipped to a root mean square of 1, the rate as it is set.
    """
    pytest.importorskip("transformers")
    parameter = torch.nn.Parameter(torch.ones(3, 2))
    optimizer = optim.make("Adafactor", {}, [{"params": [parameter], "lr": 0.01}])
    rows, columns, expected = torch.zeros(3), torch.zeros(2), torch.ones(3, 2)
    for step in range(1, 4):
        gradient = torch.randn(3, 2, generator=torch.Generator().manual_seed(step))
        parameter.grad = gradient.clone()
        optimizer.step()
        beta = 1 - step**-0.8
        squares = gradient**2 + 1e-30
        rows = beta * rows + (1 - beta) * squares.mean(1)
        columns = beta * columns + (1 - beta) * squares.mean(0)
        update = gradient / torch.sqrt(torch.outer(rows, columns) / rows.mean())
        update = update / max(1.0, float(update.square().mean().sqrt()))
        expected = expected - 0.01 * update
        assert torch.allclose(parameter, expected, atol=1e-5), step
