"""The built-in Lora extension puts itself before torch's own layers, and "Reload UI" takes it out and in again.

A training calls torch's own forwards meanwhile: a call on its way at that moment would find nothing to go on to.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from modules import patches
from torch import nn

from lib_sdtune.swap import replaced

KEY = "lora_patches"  # under this name the extension files what it replaces
KINDS = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.GroupNorm, torch.nn.LayerNorm, torch.nn.MultiheadAttention)


@contextmanager
def plain(sd_model: nn.Module) -> Iterator[None]:
    with ExitStack() as stack:
        for kind in KINDS:
            if (original := patches.original(KEY, kind, "forward")) is not None:
                stack.enter_context(replaced(kind, "forward", original, still_wanted=partial(patched, kind)))
        yield


def patched(kind: type) -> bool:
    return patches.original(KEY, kind, "forward") is not None
