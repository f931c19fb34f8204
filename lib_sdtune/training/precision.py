"""Number formats: the forward in one of them, weights in full precision, and the scale that keeps float16 gradients
from vanishing.
"""

import gc
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from typing import Any

import torch
from torch import nn

from lib_sdtune.devices import HALVES, empty_cache, frees_storages
from lib_sdtune.errors import RunError
from lib_sdtune.failures import NO_ROOM_BACK, out_of_memory
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.methods.lent_weights import lack_of_memory, release

DOUBLED_EVERY = 1000  # finite steps
MAX_SCALE = 2.0**24


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """A context manager for a forward in `dtype`; the weights are float32 where that is float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)


class FullPrecision:
    """A context manager: half-precision weights of these modules are float32 inside; then each has its own tensor
    again, bit for bit.

    A GPU's memory holds one of the two at a time: the values of what is set aside are in the computer's memory, and the
    tensor itself is kept without any, because a host may know it. RunError where it finds no room afterwards; its
    values are whole then, in the computer's memory.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.modules = list(modules)
        self.originals: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []  # weight, lent tensor, its values

    def __enter__(self) -> "FullPrecision":
        tensors = [tensor for module in self.modules for tensor in chain(module.parameters(), module.buffers())]
        owners = Counter(tensor.untyped_storage()._cdata for tensor in tensors if frees_storages(tensor.device))
        try:
            for tensor in tensors:
                if tensor.dtype in HALVES:
                    lent = tensor.data
                    set_aside = frees_storages(lent.device) and owners[lent.untyped_storage()._cdata] == 1
                    values = download(lent) if set_aside else lent
                    self.originals.append((tensor, lent, values))
                    tensor.data = lent.float()
                    if set_aside:
                        release(lent)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        lacked: Exception | None = None
        more_room = [self.empty_cache]
        while self.originals:
            tensor, lent, values = self.originals[-1]
            tensor.data = lent  # first, so that there is room for its values
            if values is not lent:
                if lack := lack_of_memory(lent, more_room):
                    tensor.data, lacked = values, lack
                else:
                    lent.copy_(values)
            self.originals.pop()
        if lacked:
            if not out_of_memory(lacked):
                raise lacked
            raise RunError(NO_ROOM_BACK) from lacked

    def empty_cache(self) -> None:
        """What the allocators of the weights' devices keep for later is free for others."""
        gc.collect()
        for device in {tensor.device for tensor, _, _ in self.originals}:
            empty_cache(device)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """The weights as they were lent, in the middle of it all, for a host that draws."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


def download(lent: torch.Tensor) -> torch.Tensor:
    """Its values in the computer's memory."""
    return lent.to("cpu", copy=True)


def untouched(model: LoadedModel, compute: torch.dtype) -> FullPrecision:
    """The model before anything is attached to it, as it predicts in a run that computes in `compute`."""
    return FullPrecision([model.unet, *model.text_encoders] if compute == torch.float32 else [])


class LossScale:
    """Dynamic loss scaling (Micikevicius et al. 2018, arXiv 1710.03740) that fits into two numbers of the state.

    Does nothing unless the forward runs in float16.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.active = dtype == torch.float16
        self.scale, self.finite_steps = (2.0**16 if self.active else 1.0), 0

    def numbers(self) -> list:
        """What a state keeps: [scale, finite steps]."""
        return [self.scale, self.finite_steps]

    def load(self, numbers: list) -> None:
        """Take over what `numbers` gave."""
        self.scale, self.finite_steps = numbers

    def on(self, device: torch.device) -> "DeviceLossScale":
        """This loss scale as tensors on `device`."""
        return DeviceLossScale(self, device)

    def update(self, finite: bool) -> bool:
        """Halve after a step that overflowed, double after 1000 that did not. Whether the overflow was only the
        scale's.
        """
        if not self.active:
            return False
        if finite:
            self.finite_steps += 1
            if self.finite_steps % DOUBLED_EVERY == 0:
                self.scale = min(self.scale * 2, MAX_SCALE)
            return False
        self.finite_steps, self.scale = 0, self.scale / 2
        return self.scale >= 1


class DeviceLossScale:
    """`LossScale` as tensors on the device, so that nobody waits for it: `scale` and `finite_steps` have no
    dimensions.
    """

    def __init__(self, host: LossScale, device: torch.device) -> None:
        self.active, self.device = host.active, device
        self.load(host.numbers())

    def numbers(self) -> list:
        return [float(self.scale), int(self.finite_steps)]

    def load(self, numbers: list) -> None:
        self.scale = torch.tensor(float(numbers[0]), device=self.device)
        self.finite_steps = torch.tensor(int(numbers[1]), device=self.device)

    def update(self, finite: torch.Tensor) -> torch.Tensor:
        """As `LossScale.update`, with booleans on the device."""
        if not self.active:
            return torch.zeros_like(finite)
        self.finite_steps = (self.finite_steps + 1) * finite
        doubles = self.finite_steps % DOUBLED_EVERY == 0
        grown = torch.where(doubles, (self.scale * 2).clamp(max=MAX_SCALE), self.scale)
        self.scale = torch.where(finite, grown, self.scale / 2)
        return ~finite & (self.scale >= 1)


@contextmanager
def frozen(model: LoadedModel) -> Iterator[None]:
    """Nothing of the model itself learns: no gradients, evaluation mode. Flags and gradients are put back on exit."""
    modules = [part for _, module in model.modules() for part in module.modules()]
    params = [p for _, module in model.modules() for p in module.parameters()]
    flags = [(p, p.requires_grad, p.grad) for p in params]
    modes = [(m, m.training) for m in modules]
    try:
        for p in params:
            p.requires_grad_(False)
        for m in modules:
            m.training = False  # assigned, because hosts replace .train()
        yield
    finally:
        for p, flag, grad in flags:
            p.requires_grad_(flag)
            p.grad = grad
        for m, mode in modes:
            m.training = mode
