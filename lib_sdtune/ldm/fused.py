"""The query, key and value layers inside `nn.MultiheadAttention`, whose weights are rows of one parameter, as layers
of their own.

Its own forward reads the weights and calls neither them nor `out_proj`, so whatever is put on those layers shows only
where `attend` computes instead. The three are made once for each attention, so that everybody means the same layer.
"""

import weakref
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

LETTERS = "qkv"
_projections: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class FusedProjection(nn.Module):
    """One of the three; `weight` (width, width) and `bias` (width,) are views of the attention's own parameters."""

    def __init__(self, attention: nn.MultiheadAttention, rows: slice) -> None:
        super().__init__()
        self.attention, self.rows = weakref.ref(attention), rows

    @property
    def source(self) -> tuple[nn.Parameter, slice]:
        """The parameter that it is a part of, and which rows of it."""
        return cast(nn.MultiheadAttention, self.attention()).in_proj_weight, self.rows

    @property
    def weight(self) -> torch.Tensor:
        return self.source[0][self.rows]

    @property
    def bias(self) -> torch.Tensor:
        return cast(nn.MultiheadAttention, self.attention()).in_proj_bias[self.rows]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias)


def projections(attention: nn.MultiheadAttention) -> list[FusedProjection]:
    """[query, key, value] of an attention."""
    if attention not in _projections:
        width = attention.embed_dim
        _projections[attention] = [FusedProjection(attention, slice(i * width, (i + 1) * width)) for i in range(3)]
    return _projections[attention]


def adapted(attention: nn.MultiheadAttention) -> bool:
    """Whether something is put on its layers, which its own forward would leave out."""
    return any("forward" in vars(layer) for layer in [*projections(attention), attention.out_proj])


def attend(attention: nn.MultiheadAttention, x: torch.Tensor) -> torch.Tensor:
    """Causal self-attention of x (B, n, width), through the layers' own forwards."""
    q, k, v = (rearrange(projection(x), "b n (heads d) -> b heads n d", heads=attention.num_heads)
               for projection in projections(attention))
    answer = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return attention.out_proj(rearrange(answer, "b heads n d -> b n (heads d)"))
