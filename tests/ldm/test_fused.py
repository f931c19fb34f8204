"""Attention whose queries, keys and values are rows of one parameter."""

import torch
from torch import nn

from lib_sdtune.ldm.fused import adapted, attend, projections
from lib_sdtune.networks.base import applied
from lib_sdtune.networks.lora import LoRA


def attention():
    torch.manual_seed(0)
    return nn.MultiheadAttention(16, 4).requires_grad_(False)


def by_torch(layer, x):
    mask = torch.full((x.shape[1], x.shape[1]), float("-inf")).triu(1)
    return layer(*[x.transpose(0, 1)] * 3, need_weights=False, attn_mask=mask)[0].transpose(0, 1)


def test_it_is_torchs_own_causal_attention():
    layer, x = attention(), torch.randn(2, 5, 16)
    assert torch.allclose(attend(layer, x), by_torch(layer, x), atol=1e-6)


def test_a_network_on_a_part_is_a_change_of_its_rows():
    layer, x, pairs = attention(), torch.randn(2, 5, 16), []
    for part in (*projections(layer), layer.out_proj):
        pairs.append((part, LoRA(part, 4, 4)))
        nn.init.normal_(pairs[-1][1].up)
    with applied(pairs), torch.no_grad():
        assert adapted(layer)
        answer = attend(layer, x)
    assert not adapted(layer)
    with torch.no_grad():
        for (part, network), rows in zip(pairs[:3], (slice(0, 16), slice(16, 32), slice(32, 48)), strict=True):
            parameter, own = part.source
            assert parameter is layer.in_proj_weight and own == rows
            parameter[rows] += network.delta_weight()
        layer.out_proj.weight += pairs[3][1].delta_weight()
        assert torch.allclose(by_torch(layer, x), answer, atol=1e-5)


def test_the_parts_are_the_same_for_everybody_and_go_with_their_attention():
    import gc
    import weakref

    layer = attention()
    assert projections(layer)[0] is projections(layer)[0]
    gone = weakref.ref(layer)
    del layer
    gc.collect()
    assert gone() is None
