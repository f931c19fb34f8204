"""Parts of the model that nothing asks for a while wait in the computer's memory: the VAE and the text encoders, once all
that they have to say is cached.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn

from lib_sdtune.config import DatasetConfig

Home = tuple[torch.Tensor, torch.device]


class IdleParts:
    """A context manager: inside, these modules' tensors are in the computer's memory, afterwards on their GPU again, bit
    for bit. Nothing moves where there is no GPU.

    The tensors stay the same objects, and only their data moves: a host may hold on to them.
    """

    def __init__(self, modules: Iterable[nn.Module] = ()) -> None:
        self.modules = list(modules)
        self.moved: dict[nn.Module, list[Home]] = {}

    def __enter__(self) -> "IdleParts":
        try:
            self.move_out(self.modules)
        except BaseException:
            self.move_in(list(self.moved))
            raise
        return self

    def __exit__(self, *error) -> None:
        self.move_in(list(self.moved))

    @contextmanager
    def present(self, *modules: nn.Module) -> Iterator[None]:
        """Those of the modules that wait (all that do, without arguments) are on their GPU inside."""
        waiting = [module for module in self.moved if not modules or module in modules]
        self.move_in(waiting)
        try:
            yield
        finally:
            self.move_out(waiting)

    def move_out(self, modules: Iterable[nn.Module]) -> None:
        for module in modules:
            homes = self.moved.setdefault(module, [])
            for tensor in chain(module.parameters(), module.buffers()):
                if tensor.device.type != "cpu":
                    homes.append((tensor, tensor.device))
                    tensor.data = tensor.data.to("cpu")

    def move_in(self, modules: Iterable[nn.Module]) -> None:
        for module in modules:
            homes = self.moved[module]
            while homes:
                tensor, device = homes[-1]
                tensor.data = tensor.data.to(device)
                homes.pop()
            del self.moved[module]


def captions_are_fixed(dataset: DatasetConfig, has_templates: bool) -> bool:
    """Whether each picture has one caption, besides none at all: then what the text encoders say is cached beforehand."""
    return not (dataset.shuffle_caption or dataset.caption_tag_dropout_rate or has_templates)
