"""The card's memory as the set of storages that are on it, and the counts of what it was asked to do."""

import sys
import traceback
import weakref
from collections import Counter
from contextlib import contextmanager

import torch
from torch.multiprocessing.reductions import StorageWeakRef

BLOCK = 512  # bytes: what CUDA's allocator rounds up to
RETAINED = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 3)  # a storage's Python object lives as long as the storage
PRODUCT = ("lib_sdtune", "modules/", "benchmarks")


class Counts:
    """Operators, launches, syncs and copies, each with the line of the product that asked for it."""

    def __init__(self):
        self.operators, self.launches, self.syncs, self.uploads, self.downloads = (Counter() for _ in range(5))

    def total(self, what):
        return sum(getattr(self, what).values())

    def __repr__(self):
        return ", ".join(f"{self.total(what)} {what}" for what in ("launches", "syncs", "uploads", "downloads"))


class Card:
    """One pretended GPU. `live` and `peak` are bytes; an allocation beyond `limit` raises torch.cuda.OutOfMemoryError."""

    device = torch.device("cuda", 0)

    def __init__(self, total, limit, capability, name, backing, count):
        self.total, self.limit, self.allowance = total, limit, total  # the last one is torch's own, and no driver knows it
        self.capability, self.name, self.backing = capability, name, torch.device(backing)
        self.live = self.peak = self.failures = self.allocations = 0
        self.storages, self.unswept = {}, 0
        self.counts, self.sources = None, False
        self.launched = 0  # kernels so far
        self.recording = None  # the graph that is being captured
        self.failed_captures, self.capture_modes = 0, []
        self.stream = None  # the current one; None for the first
        self.sync_debug_mode = 0
        self.below = 0  # > 0 while a kernel computes, for which the tensors are the backing's
        self.named = 0  # > 0 while a device was named in Python, and not by C++ after a tensor's own
        self.generators = weakref.WeakSet()
        self.seeds = []  # (number of the device, seed)
        self.pinned = {}  # storages in the computer's memory that the card can read by itself
        self.under_way = []  # (kernels launched before, where to, values): copies from the card that nobody has waited for
        self.count, self.current = count, 0

    # the computer's memory

    def pin(self, tensor):
        with torch._C.DisableTorchFunction():
            storage = tensor.untyped_storage()
        self.pinned[storage._cdata] = StorageWeakRef(storage)

    def is_pinned(self, tensor):
        with torch._C.DisableTorchFunction():
            watch = self.pinned.get(tensor.untyped_storage()._cdata)
        return watch is not None and not watch.expired()

    def delay(self, place):
        """A copy into pinned memory arrives when somebody waits for it; whoever reads it earlier reads what was there."""
        values = place.clone()
        self.under_way.append((self.launched, place, values))
        place.fill_(float("nan") if place.is_floating_point() else 0)

    def arrive(self, before=None):
        """Copies that were asked for before so many launches, all by default, are done."""
        for copy in [copy for copy in self.under_way if before is None or copy[0] <= before]:
            self.under_way.remove(copy)
            copy[1].copy_(copy[2])

    # memory

    def holds(self, tensor):
        """Whether a tensor is on the card."""
        with torch._C.DisableTorchFunction():
            entry = self.storages.get(tensor.untyped_storage()._cdata)
        return entry is not None and (RETAINED or not entry[0].expired())

    def take(self, tensor):
        """Count a new tensor's memory in. OutOfMemoryError where it does not fit."""
        with torch._C.DisableTorchFunction():
            storage = tensor.untyped_storage()
        key, size = storage._cdata, rounded(storage.nbytes())
        entry = self.storages.get(key)
        if entry is not None:
            if RETAINED or not entry[0].expired():
                return
            self.drop(key)
        self.allocations += 1
        self.refuse(size)
        watch = weakref.ref(storage, lambda _: self.drop(key)) if RETAINED else StorageWeakRef(storage)
        self.storages[key] = watch, size
        self.grow(size)

    def refuse(self, size):
        limit = min(self.total if self.limit is None else self.limit, self.allowance)
        if size and self.live + size > limit:
            self.sweep()
        if size and self.live + size > limit:
            self.failures += 1
            raise torch.cuda.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size / 2**20:.2f} MiB. GPU 0 has a total capacity "
                                              f"of {limit / 2**30:.2f} GiB of which {(limit - self.live) / 2**20:.2f} MiB is free.")

    def grow(self, size):
        self.live += size
        self.unswept += 1
        if self.live > self.peak:
            if not RETAINED and (self.unswept > len(self.storages) // 4 or self.live > 1.02 * self.peak):
                self.sweep()
            if RETAINED or not self.unswept:
                self.peak = max(self.peak, self.live)

    def notice_peak(self):
        """The peak is what is held now, if that is more."""
        if self.live > self.peak:
            self.sweep()
            self.peak = max(self.peak, self.live)

    def drop(self, key):
        entry = self.storages.pop(key, None)
        if entry is not None:
            self.live -= entry[1]

    def sweep(self):
        """Where storages do not tell when they go: look for those that are gone."""
        self.unswept = 0
        if not RETAINED:
            for key in [key for key, (watch, _) in self.storages.items() if watch.expired()]:
                self.drop(key)

    def resize(self, storage, size):
        """A storage on the card is given `size` bytes."""
        key = storage._cdata
        watch, before = self.storages[key]
        self.refuse(rounded(size) - before)
        self.storages[key] = watch, rounded(size)
        self.grow(rounded(size) - before)

    def forget_peak(self):
        self.sweep()
        self.peak = self.live

    def fill(self, spare=0):
        """From now on only `spare` bytes more can be taken."""
        self.sweep()
        self.limit = self.live + spare

    # counts

    @contextmanager
    def counting(self, sources=False):
        """Count inside; `sources` notes the line of the product too, which is slow."""
        before, self.counts, self.sources = (self.counts, self.sources), Counts(), sources
        try:
            yield self.counts
        finally:
            self.counts, self.sources = before

    def note(self, what, name):
        if self.counts is not None:
            getattr(self.counts, what)[f"{name} {source()}" if self.sources else name] += 1

    @contextmanager
    def naming(self):
        self.named += 1
        try:
            yield
        finally:
            self.named -= 1


def rounded(size):
    return -(-size // BLOCK) * BLOCK


def source():
    """The innermost line of the product that is being run."""
    for frame, line in traceback.walk_stack(sys._getframe()):
        path = frame.f_code.co_filename
        if any(part in path for part in PRODUCT) and "tests/pretended" not in path:
            return f"{path.split('lib_sdtune/')[-1]}:{line} {frame.f_code.co_name}"
    return "elsewhere"
