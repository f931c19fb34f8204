"""Parts of the model that nothing asks for a while wait in the computer's memory: the VAE and the text encoders, once
all that they have to say is cached.
"""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import nn

from lib_sdtune.config import Config
from lib_sdtune.data import variation
from lib_sdtune.devices import empty_cache
from lib_sdtune.errors import RunError
from lib_sdtune.failures import NO_ROOM_BACK, out_of_memory
from lib_sdtune.methods.base import Method
from lib_sdtune.optim.schedule import is_zero
from lib_sdtune.sections.concept import names_template
from lib_sdtune.sections.dataset import DatasetConfig

Home = tuple[torch.Tensor, torch.device]


class OffloadedParts:
    """A context manager: inside, these modules' tensors are in the computer's memory, afterwards on their GPU again,
    bit for bit. Nothing moves where there is no GPU.

    The tensors stay the same objects, and only their data moves: a host may hold on to them.

    lent_on_cpu: modules that were lent in the computer's memory. They go to `device` while they are `on_gpu`, and
    nowhere else.
    """

    def __init__(self, modules: Iterable[nn.Module] = (), lent_on_cpu: Iterable[nn.Module] = (),
                 device: torch.device | None = None) -> None:
        self.modules, self.lent_on_cpu = list(modules), list(lent_on_cpu)
        self.moved: dict[nn.Module, list[Home]] = {}
        if device is not None:
            self.moved = {module: [(tensor, device) for tensor in tensors(module)] for module in self.lent_on_cpu}

    def __enter__(self) -> "OffloadedParts":
        try:
            self.move_out(self.modules)
        except BaseException:
            self.move_in(self.borrowed())
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        """RunError where something else has filled the GPU; what found no room is whole, in the computer's memory."""
        self.move_in(self.borrowed())

    def borrowed(self) -> list[nn.Module]:
        """The modules that were lent on their GPU and are not there now."""
        return [module for module in self.moved if module not in self.lent_on_cpu]

    @contextmanager
    def on_gpu(self, *modules: nn.Module) -> Iterator[None]:
        """Those of the modules that are elsewhere are on their GPU inside; without arguments, all that were lent there.
        """
        absent = [module for module in self.moved if module in modules] if modules else self.borrowed()
        self.move_in(absent)
        try:
            yield
        finally:
            self.move_out(absent)

    def move_out(self, modules: Iterable[nn.Module]) -> None:
        for module in modules:
            homes = self.moved.setdefault(module, [])
            for tensor in tensors(module):
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
            raise RunError(NO_ROOM_BACK) from full


def on_device(data: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The data on the device; what the GPU's allocator keeps for later is freed where that is needed."""
    try:
        return data.to(device)
    except Exception as error:
        if not out_of_memory(error):
            raise
    gc.collect()
    empty_cache(device)
    return data.to(device)


def tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    return chain(module.parameters(), module.buffers())


def idle(config: Config, method: type[Method]) -> list[str]:
    """What the names of the parts begin with that no step asks for: what they say is cached before the first one."""
    has_templates = any(names_template(concept.prompt) for concept in config.concepts)
    trains_text = method.teaches_word or not is_zero(getattr(config.settings, "text_encoder_lr", 0))
    text_encoder_has_loras = bool(config.model.base_loras) or bool(getattr(config.settings, "init_file", ""))
    text_waits = not trains_text and not text_encoder_has_loras and captions_are_fixed(config.dataset, has_templates)
    return ["vae"] * config.dataset.cache_latents + ["text_encoder"] * text_waits


def captions_are_fixed(dataset: DatasetConfig, has_templates: bool) -> bool:
    """Whether each picture has one caption, besides none at all: then what the text encoders say is cached beforehand.
    """
    return variation.is_fixed(dataset) and not has_templates
