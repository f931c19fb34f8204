"""The entries of a cache that were used last, in memory."""

from collections import OrderedDict

import torch

MEMORY = 64 << 20  # bytes of the latest entries
Tensors = dict[str, torch.Tensor]


class LRUCache:
    """Drops the entries that were not used for the longest time, so that the others have at most `limit` bytes."""

    def __init__(self, limit: int = MEMORY) -> None:
        self.limit, self.size = limit, 0
        self.entries: OrderedDict[str, Tensors] = OrderedDict()

    def get(self, name: str) -> Tensors | None:
        if name in self.entries:
            self.entries.move_to_end(name)
        return self.entries.get(name)

    def add(self, name: str, tensors: Tensors) -> None:
        if name not in self.entries:
            self.entries[name] = tensors
            self.size += size_of(tensors)
        while self.size > self.limit and len(self.entries) > 1:
            self.size -= size_of(self.entries.popitem(last=False)[1])


def size_of(tensors: Tensors) -> int:
    """Bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def finite(*tensors: torch.Tensor) -> bool:
    """Whether all values are numbers, as entries must be."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)
