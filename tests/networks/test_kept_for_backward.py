"""What a network keeps until the backward pass: never a whole weight of its own, and the gradients are those without that."""

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lib_sdtune import devices
from lib_sdtune.networks import registry
from lib_sdtune.networks.base import WeightAdapter, applied
from lib_sdtune.networks.dropout import Dropouts

WEIGHTS = [name for name, network in registry if issubclass(network, WeightAdapter)]


def adapted(name, half, **dropouts):
    torch.manual_seed(0)
    layer = nn.Linear(96, 64).requires_grad_(False).to(torch.bfloat16 if half else torch.float32)
    adapter = registry[name](layer, 4, 2.0, torch.Generator().manual_seed(1))
    adapter.dropouts = Dropouts(**dropouts)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) * 0.3)
    return layer, adapter


def kept(layer, adapter, x):
    """The tensors as large as the layer's weight that its answer to x keeps, besides the layer's and the adapter's."""
    own = {tensor.data_ptr() for tensor in (layer.weight, *adapter.parameters())}
    saved = []
    with saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor), applied([(layer, adapter)]):
        answer = layer(x)
    assert answer.requires_grad
    return [tensor for tensor in saved if tensor.numel() >= layer.weight.numel() and tensor.data_ptr() not in own]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", registry.names())
def test_no_whole_weight_is_kept(name, half):
    layer, adapter = adapted(name, half, rank=0.3)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        assert not kept(layer, adapter, torch.randn(2, 3, 96, requires_grad=True))


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", WEIGHTS)
def test_gradients_are_those_of_a_weight_that_is_kept(name, nested, half, monkeypatch):
    def gradients():
        layer, adapter = adapted(name, half, rank=0.4)
        x = torch.randn(2, 3, 96, generator=torch.Generator().manual_seed(3)).requires_grad_()
        torch.manual_seed(4)
        with applied([(layer, adapter)]):
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                answer = checkpoint(layer, x, use_reentrant=False) if nested else layer(x)
            torch.randn(5)  # the mask is not drawn again
            answer.float().square().sum().backward()
        return [answer.detach(), x.grad, *(parameter.grad for parameter in adapter.parameters())]

    remade = gradients()
    monkeypatch.setattr(devices, "can_recompute", lambda device: False)
    for mine, expected in zip(remade, gradients(), strict=True):
        assert torch.equal(mine, expected)


def test_nothing_is_made_twice_where_no_gradients_are_wanted(monkeypatch):
    layer, adapter = adapted("loha", False)
    x = torch.randn(2, 96)
    deltas = []
    delta = type(adapter).delta_weight
    monkeypatch.setattr(type(adapter), "delta_weight", lambda self: deltas.append(1) or delta(self))
    with torch.no_grad():
        assert torch.equal(adapter(x), F.linear(x, delta(adapter)))
    assert len(deltas) == 1
