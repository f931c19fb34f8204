"""Attention that has a backward and knows no hypernetworks; afterwards the one that the WebUI's settings choose."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from lib_sdtune.swap import replaced


def forward(self: nn.Module, x: torch.Tensor, context: torch.Tensor | None = None, mask: torch.Tensor | None = None,
            **kwargs: Any) -> torch.Tensor:
    """Multi-head attention of any CrossAttention: x (B, n, C), context (B, m, D) -> (B, n, C)."""
    context = x if context is None else context
    q, k, v = self.to_q(x), self.to_k(context), self.to_v(context)
    q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
    if mask is not None:
        mask = mask.flatten(1)[:, None, None, :]
    heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return self.to_out(heads.transpose(1, 2).flatten(2))


@contextmanager
def differentiable(sd_model: nn.Module) -> Iterator[None]:
    kinds = {type(module) for module in sd_model.model.diffusion_model.modules()
             if type(module).__name__ == "CrossAttention"}
    with ExitStack() as stack:
        for kind in kinds:
            stack.enter_context(replaced(kind, "forward", forward))
        yield
