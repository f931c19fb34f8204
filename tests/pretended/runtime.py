"""`torch.cuda` and what else of torch asks for a driver, as a machine with the card would answer."""

from collections import defaultdict
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

import torch
import torch.utils.checkpoint


@contextmanager
def installed(card):
    """Inside, torch has one GPU, `card`."""
    with mock.patch.multiple(torch.cuda, **answers(card), create=True), properties(card), generators(card), libraries(card):
        yield


def answers(card):
    facts = SimpleNamespace(name=card.name, major=card.capability[0], minor=card.capability[1], total_memory=card.total, multi_processor_count=80)

    def mem_get_info(device=None):
        if isinstance(device, torch.device) and device.index is None:  # as torch before 2.3
            raise ValueError(f"Expected a torch.device with a specified index or an integer, but got:{device}")
        card.sweep()
        return max(0, (card.total if card.limit is None else card.limit) - card.live), card.total

    def set_per_process_memory_fraction(fraction, device=None):
        if isinstance(device, torch.device) and device.index is None:  # as every torch
            raise ValueError(f"Expected a torch.device with a specified index or an integer, but got:{device}")
        card.allowance = int(fraction * card.total)

    @contextmanager
    def current(number):
        before, card.current = card.current, number.index if isinstance(number, torch.device) else number
        try:
            yield
        finally:
            card.current = before

    def state(*_):
        return torch.get_rng_state()

    def live(*_):
        card.sweep()
        return card.live

    def synchronize(*_):
        card.note("syncs", "synchronize")
        card.arrive()

    class Event:
        """A place in the card's queue. Waiting for what was queued last is a sync; earlier work is done by then."""

        def __init__(self, **_):
            self.place = None

        def record(self, stream=None):
            self.place = card.launched

        def synchronize(self):
            if self.place == card.launched:
                card.note("syncs", "event")
            card.arrive(self.place)

        def query(self):
            return True

    def empty_cache():
        if card.recording is not None or card.failed_captures:
            raise RuntimeError("captures_underway.empty() INTERNAL ASSERT FAILED")

    quiet = {name: lambda *_, **__: None for name in (
        "_lazy_init", "init", "ipc_collect", "set_rng_state", "set_rng_state_all")}
    return quiet | {
        "is_available": lambda: True, "is_initialized": lambda: True, "_initialized": True, "device_count": lambda: card.count,
        "current_device": lambda: card.current, "get_device_properties": lambda *_: facts, "get_device_name": lambda *_: card.name,
        "get_device_capability": lambda *_: card.capability, "device": current, "set_device": lambda number: setattr(card, "current", number), "mem_get_info": mem_get_info,
        "set_per_process_memory_fraction": set_per_process_memory_fraction,
        # torch answers yes below 8.0 too, because it can emulate
        "is_bf16_supported": lambda *_, including_emulation=True, **__: including_emulation or card.capability[0] >= 8,
        "memory_allocated": live, "memory_reserved": live,
        "max_memory_allocated": lambda *_: card.peak, "max_memory_reserved": lambda *_: card.peak,
        "reset_peak_memory_stats": lambda *_: card.forget_peak(), "memory_stats": lambda *_: defaultdict(int),
        "synchronize": synchronize, "empty_cache": empty_cache,
        "get_sync_debug_mode": lambda: card.sync_debug_mode, "set_sync_debug_mode": lambda mode: setattr(card, "sync_debug_mode", {"default": 0, "warn": 1, "error": 2}.get(mode, mode)), "Event": Event, "get_rng_state": state, "get_rng_state_all": lambda: [state()],
        "manual_seed": lambda seed: card.seeds.append((card.current, seed)), "manual_seed_all": lambda seed: card.seeds.append(("all", seed)),
        "is_current_stream_capturing": lambda: False}


@contextmanager
def properties(card):
    """Where a tensor says it is."""
    def there(tensor):
        return not card.below and card.holds(tensor)

    answers = {"device": property(lambda tensor: card.device if there(tensor) else plain(tensor, "device")),
               "is_cuda": property(there), "is_cpu": property(lambda tensor: not there(tensor) and plain(tensor, "is_cpu")),
               "is_meta": property(lambda tensor: not there(tensor) and plain(tensor, "is_meta")),
               "get_device": lambda tensor: 0 if there(tensor) else -1}
    resize = torch.UntypedStorage.resize_

    def resize_(storage, size):
        if storage._cdata in card.storages:
            card.resize(storage, size)
        return resize(storage, size)

    for name, answer in answers.items():
        setattr(torch.Tensor, name, answer)
    torch.UntypedStorage.resize_ = resize_
    try:
        yield
    finally:
        for name in answers:
            delattr(torch.Tensor, name)
        if "resize_" in vars(torch.UntypedStorage):
            torch.UntypedStorage.resize_ = resize


def plain(tensor, name):
    with torch._C.DisableTorchFunction():
        return getattr(torch._C._TensorBase if hasattr(torch._C, "_TensorBase") else torch._C.TensorBase, name).__get__(tensor)


@contextmanager
def generators(card):
    real = torch.Generator

    class Generator(real):
        """A generator that knows whose it is; a GPU's draws other numbers, which nobody here may rely on."""

        def __new__(cls, device="cpu"):
            fresh = real.__new__(cls, "cpu")
            if torch.device(device).type == "cuda":
                card.generators.add(fresh)
            return fresh

        def __init__(self, device="cpu"):
            pass

        @property
        def device(self):
            return card.device if self in card.generators else torch.device("cpu")

    with mock.patch.object(torch, "Generator", Generator):
        yield


@contextmanager
def libraries(card):
    """The places where torch asks C++ for a device."""
    clear, group = torch.clear_autocast_cache, torch._C._group_tensors_by_device_and_dtype

    def clear_casts():
        card.forget_casts()
        clear()

    def grouped(lists, with_indices=False):
        return {(card.device if card.holds(next(t for t in tensors[0] if t is not None)) else device, dtype): (tensors, indices)
                for (device, dtype), (tensors, indices) in group(lists, with_indices).items()}

    with (mock.patch.object(torch, "clear_autocast_cache", clear_casts),
          mock.patch.object(torch._C, "_group_tensors_by_device_and_dtype", grouped),
          mock.patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False),
          mock.patch.object(torch.utils.checkpoint, "get_device_states", lambda *_: ([], []))):
        yield
