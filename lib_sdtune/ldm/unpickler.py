"""Reads old training checkpoints, in which the weights lie among a trainer's own objects, without making any of those.

Used as `torch.load(..., pickle_module=unpickler)` where `weights_only=True` refuses. A class is looked up only if tensors are
made of it; what Lightning and numpy left there becomes an empty `Leftover`; anything else ends the reading.
"""

import pickle
from collections import OrderedDict

import torch

TENSORS = {("collections", "OrderedDict"): OrderedDict, ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
           ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter}
LEFT_BEHIND = ("pytorch_lightning", "lightning", "numpy", "_codecs")


class Leftover:
    """Takes whatever a pickle does to it, and does nothing."""

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, value):
        pass

    def extend(self, values):
        pass


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) in TENSORS:
            return TENSORS[module, name]
        if module in ("torch", "torch.storage") and name.endswith("Storage") and "." not in name:
            return getattr(torch, name)
        if module.split(".")[0] in LEFT_BEHIND:
            return Leftover
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a model's weights")


def load(file, **settings):
    return Unpickler(file, **settings).load()
