"""Hosts whose layers are of classes of their own: found by their weights, and a model that lacks some is refused."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib_sdtune.errors import UserError
from lib_sdtune.networks import registry as networks
from lib_sdtune.networks.applied_hypernetworks import attentions, context_widths
from tests.models import tiny_sd1, tiny_sdxl


class ForeignLinear(nn.Module):
    """What another program makes of a linear layer: no relative of torch's."""

    def __init__(self, layer):
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


class Packed(nn.Module):
    """A layer whose weight is no matrix of plain numbers."""

    def __init__(self, layer):
        super().__init__()
        self.register_buffer("qweight", torch.zeros(4, dtype=torch.uint8))


def exchange(module, kind, ending=""):
    for path, layer in list(module.named_modules()):
        if isinstance(layer, nn.Linear) and path.endswith(ending):
            parent, _, name = path.rpartition(".")
            setattr(module.get_submodule(parent), name, kind(layer))


@pytest.mark.parametrize("make", [tiny_sd1, tiny_sdxl])
def test_layers_of_foreign_classes_are_found(make):
    model, foreign = make(), make()
    for part in (foreign.unet, foreign.text_encoders[0]):
        exchange(part, ForeignLinear)
    keys = [target.key for target in model.family.targets(model)]
    assert [target.key for target in foreign.family.targets(foreign)] == keys
    assert context_widths(foreign.unet) == context_widths(model.unet) and len(attentions(foreign.unet)) == len(attentions(model.unet))
    target = next(target for target in foreign.family.targets(foreign) if isinstance(target.layer, ForeignLinear))
    x = torch.randn(2, target.layer.weight.shape[1])
    for name in networks.names():
        adapter = networks[name](target.layer, 2, 2.0, torch.Generator().manual_seed(0))
        assert adapter(x).shape == target.layer(x).shape


@pytest.mark.parametrize("part, ending", [("unet", "attn2.to_k"), ("unet", "ff.net.2"), ("unet", "emb_layers.1"),
                                          ("text", "fc1"), ("text", "q_proj")])
def test_a_model_with_a_layer_that_cannot_learn_is_refused(part, ending):
    model = tiny_sd1()
    exchange(model.unet if part == "unet" else model.text_encoders[0], Packed, ending)
    with pytest.raises(UserError, match=rf"{ending.replace('.', '[._]')} .*Packed"):
        list(model.family.targets(model))
    if ending == "attn2.to_k":
        with pytest.raises(UserError, match="to_k"):
            context_widths(model.unet)
