"""A training's add-on on a fused attention, in a picture whose prompt has a LoRA: that is merged once."""

import sys
from types import SimpleNamespace

import torch
from torch import nn

from lib_sdtune.host.webui import fused
from lib_sdtune.networks.base import wrapped_forward


def test_a_prompts_lora_is_merged_once(monkeypatch):
    """The WebUI merges query, key, value and `out_proj` at the attention; its patched Linear would merge the last again."""
    attention = nn.MultiheadAttention(8, 2)
    attention.network_layer_name, attention.out_proj.network_layer_name = "attn", "attn_out_proj"
    merged, linear = [], nn.Linear.forward

    def merge(layer):
        if getattr(layer, "network_layer_name", None):
            merged.append(layer.network_layer_name)

    monkeypatch.setitem(sys.modules, "networks", SimpleNamespace(network_apply_weights=merge))
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: merge(self) or linear(self, x))
    sd_model = SimpleNamespace(cond_stage_model=SimpleNamespace(model=nn.ModuleList([attention])))
    x = torch.randn(5, 1, 8)
    with wrapped_forward(attention.out_proj, lambda forward: lambda x: forward(x) + 1), fused.adapted(sd_model):
        answer, _ = attention(x, x, x, need_weights=False)
    assert merged == ["attn"] and attention.out_proj.network_layer_name == "attn_out_proj"
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    monkeypatch.undo()
    assert torch.allclose(answer, attention(x, x, x, need_weights=False, attn_mask=causal)[0] + 1, atol=1e-6)
