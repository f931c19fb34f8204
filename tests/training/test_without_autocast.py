"""Devices on which torch has no autocast, and `torch.autocast` itself raises: DirectML, and MPS before torch 2.5."""

import pytest
import torch

from lib_sdtune import devices
from lib_sdtune.methods import registry as methods
from lib_sdtune.networks.applied_hypernetworks import Product
from lib_sdtune.networks.hypernetwork import HyperModule, Structure
from lib_sdtune.training import vae_detail
from tests.hosts import settings, train

SETTINGS = {"lora": {"dim": 4, "alpha": 2}, "dreambooth": {"unet_lr": 1e-4}, "textual_inversion": {"token": "cat", "init_text": "cat"},
            "hypernetwork": {"lr": 1e-3}}
RUNS = [*((method, {}) for method in methods.names()), ("lora", {"network": "diag-oft"})]


@pytest.fixture(autouse=True)
def without_autocast(monkeypatch):
    """The CPU as such a device."""
    def refused(device_type, *args, **kwargs):
        raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'")

    monkeypatch.setattr(devices, "has_autocast", lambda device: False)
    monkeypatch.setattr(torch, "autocast", refused)


@pytest.mark.parametrize("method, changes", RUNS, ids=[" ".join([method, *changes.values()]) for method, changes in RUNS])
def test_every_method_trains(host, images, method, changes):
    control = train(host, settings(images, method=method, train={"max_train_steps": 2, "mixed_precision": "auto"},
                                   **{method: SETTINGS[method] | changes}))
    assert control.state == "finished" and control.artefacts


def test_layers_of_a_hypernetwork_are_multiplied():
    pair = [HyperModule(16, Structure()) for _ in "kv"]
    x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    keys, _ = Product(pair, 1.0, rounded=False)(x)
    assert torch.allclose(keys, pair[0](x), atol=1e-5)


def test_the_vae_is_looked_at(host):
    assert vae_detail.reconstructed(host.model, torch.zeros(1, 3, 64, 64)).shape == (1, 3, 64, 64)
