"""OpenCLIP's text tower (https://github.com/mlfoundations/open_clip), with the parameter names of
`cond_stage_model.model.*`.

`hidden_states` walks a tower by those names, so that it runs ours and an `open_clip` model alike.
"""

import math
from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from lib_sdtune.ldm import recompute
from lib_sdtune.ldm.fused import attend


class OpenCLIPTextModel(nn.Module):
    """A causal transformer over token ids, with the projection that pictures are compared with."""

    def __init__(
        self,
        vocab_size: int = 49408,
        width: int = 1024,
        layers: int = 24,
        heads: int = 16,
        positions: int = 77,
        mlp_ratio: float = 4,
        projection: int = 1024,
    ) -> None:
        super().__init__()
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(block(width, heads, int(width * mlp_ratio)) for _ in range(layers))
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(positions, width))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, projection))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(100)))  # of CLIP's own loss; diffusion never reads it


def block(width: int, heads: int, hidden: int) -> nn.Module:
    """One layer's parameters; `hidden_states` knows what to do with them."""
    layer = nn.Module()
    layer.ln_1 = nn.LayerNorm(width)
    layer.attn = nn.MultiheadAttention(width, heads)
    layer.ln_2 = nn.LayerNorm(width)
    layer.mlp = nn.Sequential(
        OrderedDict(c_fc=nn.Linear(width, hidden), gelu=nn.GELU(), c_proj=nn.Linear(hidden, width))
    )
    return layer


def hidden_states(model: Any, embed: torch.Tensor, layers: int | None = None) -> list[torch.Tensor]:
    """[(B, n, width)] * (layers + 1): token embeddings (B, n, width) with their positions, then each layer's answer."""
    states = [embed + model.positional_embedding[:embed.shape[1]].to(embed)]
    for layer in model.transformer.resblocks[:layers]:
        states.append(recompute.answer(forward, layer, states[-1]))
    return states


def forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    x = x + attend(layer.attn, layer.ln_1(x))
    return x + layer.mlp(layer.ln_2(x))
