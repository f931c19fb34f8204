"""Every network on every kind of layer: it starts at zero, is what its weights say, and survives its own file."""

import pytest
import torch
from torch import nn

from lib_sdtune.networks import registry
from lib_sdtune.networks.base import applied

LAYERS = {
    "linear": (lambda: nn.Linear(12, 8), (2, 5, 12)),
    "linear without bias": (lambda: nn.Linear(12, 8, bias=False), (2, 12)),
    "1x1": (lambda: nn.Conv2d(12, 8, 1), (2, 12, 6, 6)),
    "3x3": (lambda: nn.Conv2d(12, 8, 3, padding=1), (2, 12, 6, 6)),
    "3x3 stride 2": (lambda: nn.Conv2d(12, 8, 3, stride=2, padding=1), (2, 12, 6, 6)),
}


@pytest.fixture(params=[(name, kind) for name in registry.names() for kind in LAYERS], ids=lambda p: " on ".join(p))
def setting(request):
    name, kind = request.param
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    layer = make()
    return layer, registry[name], torch.randn(shape)


def stirred(network, layer):
    adapter = network(layer, 4, 2.0, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for p in adapter.parameters():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(2)) * 0.3)
    return adapter


def test_a_new_bend_changes_nothing(setting):
    layer, network, x = setting
    adapter = network(layer, 4, 2.0, torch.Generator().manual_seed(1))
    straight = layer(x)
    with applied([(layer, adapter)]):
        assert torch.equal(layer(x), straight)
    assert not adapter.delta_weight().count_nonzero()


def test_a_bent_layer_is_the_layer_with_its_delta_added_to_the_weight(setting):
    layer, network, x = setting
    adapter = stirred(network, layer)
    with applied([(layer, adapter)], multiplier=0.7):
        bent_answer = layer(x)
    with torch.no_grad():
        layer.weight += 0.7 * adapter.delta_weight()
    assert torch.allclose(bent_answer, layer(x), atol=1e-5)
    assert adapter.delta_weight().count_nonzero()


def test_tensors_round_trip(setting):
    layer, network, _ = setting
    adapter = stirred(network, layer)
    fresh = network(layer, 4, 1.0, torch.Generator().manual_seed(9))
    fresh.load_tensors({tail: tensor.clone() for tail, tensor in adapter.tensors().items()})
    assert torch.equal(fresh.delta_weight(), adapter.delta_weight())
    assert network.reads(adapter.tensors())


def test_the_same_generator_draws_the_same_bend(setting):
    layer, network, _ = setting
    first, second = (network(layer, 4, 2.0, torch.Generator().manual_seed(5)).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_gradients_reach_the_bend_and_not_the_layer(setting):
    layer, network, x = setting
    layer.requires_grad_(False)
    adapter = stirred(network, layer)
    with applied([(layer, adapter)]):
        layer(x).square().mean().backward()
    assert layer.weight.grad is None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapter.parameters())


def test_the_layer_is_bare_again_after_an_exception(setting):
    layer, network, x = setting
    straight = layer(x)
    with pytest.raises(ZeroDivisionError), applied([(layer, stirred(network, layer))]):
        raise ZeroDivisionError
    assert torch.equal(layer(x), straight) and "forward" not in layer.__dict__


def test_loha_starts_as_in_lycoris():
    """Normal with spread 0.1 and 1, and zero: `LohaModule` of lycoris/modules/loha.py."""
    adapter = registry["loha"](nn.Linear(320, 320), 16, 8.0, torch.Generator().manual_seed(0))
    spreads = [float(getattr(adapter, name).std()) for name in ("w1_a", "w1_b", "w2_b")]
    assert spreads == pytest.approx([0.1, 1.0, 1.0], rel=0.05) and not adapter.w2_a.count_nonzero()
