"""Layers of a text encoder whose activations are recomputed in the backward pass (Chen et al. 2016, arXiv 1604.06174).

`text` and `openclip` walk layers without calling them, so the layers carry a mark instead of another forward.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

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
        return recomputed(forward, layer, x)
    return forward(layer, x)


def recomputed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """forward(*args, **kwargs), of which nothing is kept: it is called again in the backward pass, and draws the same.

    torch sees to that for the devices whose modules say that they are in use, which `torch.mps` does not, at least up
    to 2.13.
    """
    on_mps = any(isinstance(arg, torch.Tensor) and arg.device.type == "mps" for arg in args)
    more: dict[str, Any] = {"context_fn": lambda: (nullcontext(), SameChance())} if on_mps else {}
    return checkpoint(forward, *args, use_reentrant=False, **more, **kwargs)


class SameChance:
    """A context manager: inside, an Apple GPU draws what it drew from the moment on when this was made."""

    def __init__(self) -> None:
        self.then = torch.mps.get_rng_state()

    def __enter__(self) -> None:
        self.now = torch.mps.get_rng_state()
        torch.mps.set_rng_state(self.then)

    def __exit__(self, *error: Any) -> None:
        torch.mps.set_rng_state(self.now)
