"""Layers of a text encoder whose activations are recomputed in the backward pass (Chen et al. 2016, arXiv 1604.06174).

`text` and `openclip` walk layers without calling them, so the layers carry a mark instead of another forward.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

MARK = "gradient_checkpointing"


@contextmanager
def marked(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, `answer` recomputes these layers."""
    layers = list(layers)
    before = [(layer, vars(layer).get(MARK)) for layer in layers]
    for layer in layers:
        setattr(layer, MARK, True)
    try:
        yield
    finally:
        for layer, value in before:
            if value is None:
                delattr(layer, MARK)
            else:
                setattr(layer, MARK, value)


def answer(
    forward: Callable[[nn.Module, torch.Tensor], torch.Tensor], layer: nn.Module, x: torch.Tensor
) -> torch.Tensor:
    """forward(layer, x), recomputed where the layer is marked and gradients are wanted."""
    if getattr(layer, MARK, False) and torch.is_grad_enabled():
        return checkpoint(forward, layer, x, use_reentrant=False)
    return forward(layer, x)
