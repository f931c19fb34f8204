"""Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): activations are recomputed where memory is short."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch.utils.checkpoint import checkpoint

from lib_sdtune.ldm import recompute


def blocks(unet: torch.nn.Module) -> list[torch.nn.Module]:
    """The parts worth recomputing: every residual block and every transformer block of a UNet with LDM's names."""
    return [m for m in unet.modules() if hasattr(m, "emb_layers") or (hasattr(m, "attn1") and hasattr(m, "attn2"))]


@contextmanager
def checkpointed(unet: torch.nn.Module, on: bool, text_layers: Iterable[torch.nn.Module] = ()) -> Iterator[None]:
    """While entered, the activations of the UNet's blocks and of the text encoders' layers are recomputed
    (non-reentrant, so gradients reach add-ons inside).
    """
    changed = blocks(unet) if on else []
    forwards = [block.__dict__.get("forward") for block in changed]
    for block in changed:
        block.forward = recomputing(block.forward)
    try:
        with recompute.marked(text_layers if on else ()):
            yield
    finally:
        for block, forward in zip(changed, forwards, strict=True):
            if forward is None:
                del block.forward
            else:
                block.forward = forward


def recomputing(forward: Callable) -> Callable:
    def wrapped(*args, **kwargs):
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return wrapped
