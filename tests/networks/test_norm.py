"""Norm layers that learn: the layer with what is added to its weight and bias, whatever class it is of."""

import pytest
import torch
from torch import nn

from lib_sdtune.networks.base import applied
from lib_sdtune.networks.delta import algorithm
from lib_sdtune.networks.norm import Norm


class GroupNorm32(nn.GroupNorm):
    """As hosts have it: in float32, whatever comes."""

    def forward(self, x):
        return super().forward(x.float()).type(x.dtype)


LAYERS = {"group": (lambda: GroupNorm32(4, 8), (2, 8, 5, 5)), "layer": (lambda: nn.LayerNorm(8), (2, 5, 8))}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_layer_with_its_change(kind, dtype):
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    layer, x = make(), torch.randn(shape).to(dtype)
    nn.init.normal_(layer.weight)
    if kind == "layer":
        layer = layer.to(dtype)
    norm = Norm(layer)
    with applied([(layer, norm)]):
        assert torch.equal(layer(x), layer.__class__.forward(layer, x))
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    again = Norm.like(layer, norm.tensors())
    answers = []
    for adapter, multiplier in ((norm, 1.0), (again, 0.5)):
        with applied([(layer, adapter)], multiplier):
            answers.append(layer(x))
    with torch.no_grad():
        for answer, multiplier in zip(answers, (1.0, 0.5), strict=True):
            changed = make().to(layer.weight.dtype)
            changed.weight.copy_(layer.weight + multiplier * norm.w_norm)
            changed.bias.copy_(layer.bias + multiplier * norm.b_norm)
            assert answer.dtype == dtype
            assert torch.allclose(answer, changed(x), atol=1e-5 if dtype == torch.float32 else 5e-2)
    assert algorithm(norm.tensors()) == "norm" and not algorithm({"w_norm": norm.w_norm})


def test_one_of_another_size_is_refused():
    with pytest.raises(RuntimeError):
        Norm.like(nn.LayerNorm(8), {"w_norm": torch.zeros(6), "b_norm": torch.zeros(6)})
