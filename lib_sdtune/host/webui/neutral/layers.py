"""The built-in Lora extension puts itself before torch's own layers, and "Reload UI" takes it out and in again.

A training calls torch's own forwards meanwhile: a call on its way at that moment would find nothing to go on to.
"""

from contextlib import contextmanager

import torch
from modules import patches

KEY = "lora_patches"  # under this name the extension files what it replaces
KINDS = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.GroupNorm, torch.nn.LayerNorm, torch.nn.MultiheadAttention)


@contextmanager
def plain(sd_model):
    changed = [(kind, kind.forward, original) for kind in KINDS if (original := patches.original(KEY, kind, "forward")) is not None]
    for kind, _, original in changed:
        kind.forward = original
    try:
        yield
    finally:
        for kind, replacement, original in changed:
            taken_out = patches.original(KEY, kind, "forward") is None
            if kind.forward is original and not taken_out:
                kind.forward = replacement
