"""Reads old training checkpoints, in which the weights lie among a trainer's own objects, without making any of those.

Used as `torch.load(..., pickle_module=unpickler)` where `weights_only=True` refuses. A pickle can change what it looks
up (its opcode BUILD sets attributes, also of classes and functions), so everything that it gets is a stand-in that was
made for this one reading: tensors are rebuilt through it, what Lightning and numpy left becomes an empty object, and
any other name ends the reading.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO

import torch

LEFT_BEHIND = ("pytorch_lightning", "lightning", "numpy", "_codecs")


def stand_ins() -> dict[tuple[str, str], Callable[..., Any]]:
    """{(module, name): what a pickle gets for it}; the typed storages get theirs from `torch.load` itself, also as
    stand-ins.
    """

    def rebuild_tensor(*args: Any) -> torch.Tensor:
        return torch._utils._rebuild_tensor_v2(*args)

    def rebuild_parameter(data: torch.Tensor, requires_grad: bool, hooks: Any) -> torch.Tensor:
        return torch._utils._rebuild_parameter(data, requires_grad, OrderedDict())

    def ordered_dict(*args: Any) -> OrderedDict:
        return OrderedDict(*args)

    return {("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
            ("collections", "OrderedDict"): ordered_dict}


def empty_class() -> type:
    """A class whose objects take whatever a pickle does to them, and do nothing."""

    class Empty:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            pass

        def __setstate__(self, state: object) -> None:
            pass

        def __setitem__(self, key: object, value: object) -> None:
            pass

        def append(self, value: object) -> None:
            pass

        def extend(self, values: object) -> None:
            pass

    return Empty


class Unpickler(pickle.Unpickler):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stand_ins, self.empty = stand_ins(), empty_class()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.stand_ins:
            return self.stand_ins[module, name]
        if module.split(".")[0] in LEFT_BEHIND:
            return self.empty
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a model's weights")


def load(file: BinaryIO, **settings: Any) -> Any:
    return Unpickler(file, **settings).load()
