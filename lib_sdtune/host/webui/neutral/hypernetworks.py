"""Hypernetworks leave their layers on the attention modules, where they would count as layers of the UNet."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from lib_sdtune.swap import ABSENT, replaced_entry

NAMES = ("hyper_k", "hyper_v")


@contextmanager
def off(sd_model: nn.Module) -> Iterator[None]:
    with ExitStack() as stack:
        for layer in list(sd_model.modules()):
            for name in reversed(NAMES):  # the last one comes back first
                if name in layer._modules:
                    stack.enter_context(replaced_entry(layer._modules, name, ABSENT))
        yield
