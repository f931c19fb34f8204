"""Parts of the model that nothing asks for a while wait in the computer's memory: the VAE and the text encoders, once all
that they have to say is cached.
"""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn

from lib_sdtune.config import DatasetConfig
from lib_sdtune.errors import RunError, out_of_memory

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
        """RunError where something else has filled the GPU; what found no room is whole, in the computer's memory."""
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
        full = None
        for module in modules:
            homes = self.moved[module]
            while homes:
                tensor, device = homes[-1]
                try:
                    tensor.data = on_device(tensor.data, device)
                except Exception as error:
                    if not out_of_memory(error):
                        raise
                    full = error
                    break
                homes.pop()
            if not homes:
                del self.moved[module]
        if full:
            raise RunError("The GPU's memory was filled by something else, so a part of the model could not go back there; "
                           "close that program, then choose another checkpoint and this one again.") from full


def on_device(data: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The data on the device; what the GPU's allocator keeps for later is freed where that is needed."""
    try:
        return data.to(device)
    except Exception as error:
        if not out_of_memory(error):
            raise
    gc.collect()
    torch.cuda.empty_cache()
    return data.to(device)


def captions_are_fixed(dataset: DatasetConfig, has_templates: bool) -> bool:
    """Whether each picture has one caption, besides none at all: then what the text encoders say is cached beforehand."""
    return not (dataset.shuffle_caption or dataset.caption_tag_dropout_rate or has_templates)
