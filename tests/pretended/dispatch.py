"""Every operator passes here: where its result is, what a GPU would refuse, and what it costs."""

from functools import cache

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.pretended import kernels
from tests.pretended.graphs import memory_of

COPIES = {"aten.copy_.default", "aten._to_copy.default", "aten.set_.source_Storage_storage_offset", "aten.set_.source_Tensor",
          "aten.set_.source_Storage"}
INDEXING = {"aten.index.Tensor", "aten.index_put_.default", "aten.index_put.default", "aten._index_put_impl_.default"}
SCALARS_REFUSED = ("cat", "stack", "mm", "embedding", "convolution", "layer_norm", "group_norm", "index_select", "gather", "scatter")
SYNCS = {"aten._local_scalar_dense.default", "aten.equal.default", "aten.nonzero.default", "aten.is_nonzero.default",
         "aten.masked_select.default", "aten._unique2.default", "aten.unique_dim.default"}
FREE = {f"aten.{name}" for name in ["view.default", "_unsafe_view.default", "t.default", "transpose.int", "permute.default", "detach.default", "alias.default", "expand.default", "slice.Tensor", "select.int", "unsqueeze.default", "squeeze.default", "squeeze.dim", "squeeze.dims", "split.Tensor", "split_with_sizes.default", "unbind.int", "as_strided.default", "empty.memory_format", "empty_like.default", "empty_strided.default", "new_empty.default", "new_empty_strided.default", "_reshape_alias.default", "unfold.default", "lift_fresh.default", "view.dtype", "set_.source_Storage_storage_offset", "set_.source_Tensor", "_local_scalar_dense.default", "resize_.default", "is_pinned.default"]} | {"prim.device.default"}
"""Views and bare allocations, which launch nothing."""


def is_cuda(device):
    return device is not None and torch.device(device).type == "cuda"


OLD = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 5)


def one_by_one(name, tensors):
    """Whether torch copies a list in as many kernels as it has tensors: between number formats, before 2.5."""
    return OLD and name == "aten._foreach_copy_.default" and tensors[0].dtype != tensors[-1].dtype


@cache
def name_of(func):
    return str(func)


def flat(values):
    """The values, and those in their lists: operators nest no deeper."""
    leaves = []
    for value in values:
        if isinstance(value, list | tuple):
            leaves += value
        else:
            leaves.append(value)
    return leaves


class Dispatch(TorchDispatchMode):
    """While entered, operators on tensors of the card act as on a GPU."""

    def __init__(self, card):
        super().__init__()
        self.card = card

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # or torch would import its compiler, which takes seconds

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunction():
            return self.run(func, args, kwargs or {})

    def run(self, func, args, kwargs):
        card, name = self.card, name_of(func)
        if card.below:  # a graph's replay
            return func(*args, **kwargs)
        leaves = flat((*args, *kwargs.values()))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        on_card = [tensor for tensor in tensors if card.holds(tensor)]
        device = kwargs.get("device")
        if device is not None and on_card and not is_cuda(device) and not card.named:
            device = None  # C++ repeats what it takes for the tensor's device
        there = bool(on_card) if device is None else is_cuda(device)
        self.refuse_generators(name, leaves, there)
        if not on_card and not there:
            return func(*args, **kwargs)
        if name not in COPIES:
            self.refuse_mixing(name, leaves, tensors, on_card)
        elif name != "aten._to_copy.default":
            there = card.holds(tensors[0])
        if name not in FREE:
            card.launched += 1
        if card.recording is not None or card.sync_debug_mode:
            self.refuse_waiting(name, leaves, tensors, there, kwargs)
        if card.counts is not None:
            self.count(name, leaves, tensors, there, kwargs)
        if card.backing.type == "meta" and (not there or name == "aten._local_scalar_dense.default"):
            return kernels.invented(name, tensors, kwargs)
        if there and "device" in kwargs:
            kwargs = kwargs | {"device": card.backing}
        card.below += 1
        try:
            result = kernels.answer(func, name, args, kwargs)
            self.arrive(name, leaves, tensors, there, kwargs, result)
        finally:
            card.below -= 1
        if card.recording is not None:
            card.recording.operators.append((func, name, *memory_of((args, kwargs)), result))
        if there:
            theirs = {tensor.untyped_storage()._cdata for tensor in tensors}
            for out in result if isinstance(result, list | tuple) else (result,):
                if isinstance(out, torch.Tensor) and out.untyped_storage()._cdata not in theirs:
                    card.take(out)
        return result

    def refuse_generators(self, name, leaves, there):
        for leaf in leaves:
            if type(leaf) is torch.Generator:
                owner = "cuda" if leaf in self.card.generators else "cpu"
                if owner != ("cuda" if there else "cpu"):
                    raise RuntimeError(f"Expected a '{'cuda' if there else 'cpu'}' device type for generator but found '{owner}' ({name})")

    def refuse_mixing(self, name, leaves, tensors, on_card):
        """A GPU's operators take tensors of the CPU only as single numbers or as indices."""
        if len(on_card) == len(tensors):
            return
        for tensor in tensors:
            if self.card.holds(tensor):
                continue
            if name in INDEXING and tensor is not leaves[0]:
                self.card.note("uploads", "index")
                self.card.note("syncs", "index on the CPU")
            elif tensor.ndim or any(word in name for word in SCALARS_REFUSED):
                shapes = [(tuple(each.shape), "cuda:0" if self.card.holds(each) else "cpu") for each in tensors]
                raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
                                   f"({name}: {shapes})")

    def refuse_waiting(self, name, leaves, tensors, there, kwargs):
        """A capture fails where the card would be waited for, or read from the computer's memory without pinning; with
        torch's sync debug mode the operator itself does."""
        if name in SYNCS or (self.crosses(name, tensors, there) and self.waits(tensors[-1], leaves, kwargs)):
            if self.card.recording is None:
                raise RuntimeError("called a synchronizing CUDA operation")
            self.card.recording.failed = True
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({name})")

    def crosses(self, name, tensors, there):
        """Whether it is a copy between card and computer."""
        return name in COPIES and bool(tensors) and there != self.card.holds(tensors[-1])

    def waits(self, source, leaves, kwargs):
        """Whether a copy between card and computer is waited for: from memory that is not pinned the driver copies first."""
        asked = not (kwargs.get("non_blocking") or any(leaf is True for leaf in leaves[1:]))
        return asked or not self.card.holds(source) and not self.card.is_pinned(source)

    def arrive(self, name, leaves, tensors, there, kwargs, result):
        """When what the card copies to the computer can be read there."""
        if self.card.backing.type == "meta" or self.card.recording is not None:
            return
        crosses = self.crosses(name, tensors, there)
        if name in SYNCS or (crosses and self.waits(tensors[-1], leaves, kwargs)):
            self.card.arrive()
        elif crosses and not there:
            if name == "aten._to_copy.default":
                self.card.pin(result)
            if self.card.is_pinned(result):
                self.card.delay(result)

    def count(self, name, leaves, tensors, there, kwargs):
        card = self.card
        card.note("operators", name)
        if name in SYNCS:
            card.note("syncs", name)
        if name in COPIES and len(tensors) > 0:
            source = tensors[-1]
            waits = self.waits(source, leaves, kwargs)
            if there and not card.holds(source):
                card.note("uploads", name)
            elif not there:
                card.note("downloads", name)
            if there != card.holds(source) and waits:
                card.note("syncs", f"copy {name}")
        if name not in FREE:
            for _ in range(len(tensors) // 2 if one_by_one(name, tensors) else 1):
                card.note("launches", name)
