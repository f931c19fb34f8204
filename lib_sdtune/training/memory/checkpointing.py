"""Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): activations are recomputed where memory is short."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from lib_sdtune.ldm import recompute
from lib_sdtune.networks.base import wrapped_forward


def blocks(unet: torch.nn.Module) -> list[torch.nn.Module]:
    """The parts worth recomputing: every residual block and every transformer block of a UNet with LDM's names."""
    return [m for m in unet.modules() if hasattr(m, "emb_layers") or (hasattr(m, "attn1") and hasattr(m, "attn2"))]


@contextmanager
def checkpointed(unet: torch.nn.Module, on: bool, text_layers: Iterable[torch.nn.Module] = ()) -> Iterator[None]:
    """While entered, the activations of the UNet's blocks and of the text encoders' layers are recomputed
    (non-reentrant, so gradients reach add-ons inside).
    """
    with ExitStack() as stack:
        for block in blocks(unet) if on else []:
            stack.enter_context(wrapped_forward(block, recomputing))
        stack.enter_context(recompute.marked(text_layers if on else ()))
        yield


def recomputing(forward: Callable) -> Callable:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return recompute.recomputed(forward, *args, **kwargs)

    return wrapped
