"""What the model is made of: put back exactly, whatever a failed training left on it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from modules import devices
from torch import nn

from lib_sdtune.errors import RunError
from lib_sdtune.failures import NO_ROOM_BACK, out_of_memory

TABLES = ("_modules", "_parameters", "_buffers")


@contextmanager
def restored(sd_model: nn.Module) -> Iterator[None]:
    """Children, parameters, hooks, instance functions, classes, modes, gradients, dtypes and devices are as before
    afterwards.

    But for a VAE that the WebUI itself has turned to another format, because its pictures were not numbers: it goes on
    drawing in that (`devices.dtype_vae`), and weights as before would not fit.
    """
    structure, vae_dtype = Structure(sd_model), format_of_vae()
    weights = [Weight(tensor) for tensor in sd_model.parameters()]
    try:
        yield
    finally:
        structure.restore()
        if format_of_vae() != vae_dtype:
            keep_formats(weights, sd_model.first_stage_model)
        restore_all(weights)


def restore_all(weights: "list[Weight]") -> None:
    """RunError where the GPU has no room for some; they are whole, in the computer's memory, and the others are back.
    """
    full = None
    for weight in weights:
        try:
            weight.restore()
        except Exception as error:
            if not out_of_memory(error):
                raise
            full = error
    if full:
        raise RunError(NO_ROOM_BACK) from full


def format_of_vae() -> torch.dtype | None:
    """What the WebUI has its VAE in; None for forks that keep it elsewhere."""
    return getattr(devices, "dtype_vae", None)


def keep_formats(weights: "list[Weight]", module: nn.Module) -> None:
    """Those of the module's weights stay in the number format that they have now."""
    kept = set(map(id, module.parameters()))
    for weight in weights:
        if id(weight.tensor) in kept:
            weight.dtype = weight.tensor.dtype


class Structure:
    """Which modules a model has, and what stands on each of them, at one moment."""

    def __init__(self, sd_model: nn.Module) -> None:
        self.records = {path: Record(module) for path, module in sd_model.named_modules()}

    def restore(self) -> None:
        for record in self.records.values():
            record.restore()

    def first_difference(self) -> tuple[str, str] | None:
        """(path, what) of the first module that is not as it was, or None."""
        for path, record in self.records.items():
            if what := record.difference():
                return path or "the model", what
        return None


class Parameters:
    """Which parameters a model has at one moment, without their numbers."""

    def __init__(self, sd_model: nn.Module) -> None:
        self.tables = {path: (module, dict(module._parameters)) for path, module in sd_model.named_modules()}

    def put_back(self) -> list[str]:
        """Make them the model's own again where they were exchanged; the paths of those."""
        exchanged = [(path, module, entries) for path, (module, entries) in self.tables.items()
                     if not same(module._parameters, entries)]
        for _, module, entries in exchanged:
            module._parameters.clear()
            module._parameters.update(entries)
        return [path or "the model" for path, *_ in exchanged]


class Record:
    """One module: its tables by content, its class, and the functions that it has for itself."""

    def __init__(self, module: nn.Module) -> None:
        attributes = vars(module)
        self.module, self.kind, self.training = module, type(module), module.training
        self.functions = functions_of(module)
        self.tables = {name: dict(table) for name, table in attributes.items() if is_table(name, table)}

    def restore(self) -> None:
        attributes = vars(self.module)
        if type(self.module) is not self.kind:
            self.module.__class__ = self.kind
        attributes["training"] = self.training
        for name in functions_of(self.module).keys() - self.functions.keys():
            del attributes[name]
        attributes.update(self.functions)
        for name, entries in self.tables.items():
            table = attributes[name]
            if not same(table, entries):
                table.clear()
                table.update(entries)

    def difference(self) -> str:
        """What is not as it was, in a word or two, or ""."""
        if type(self.module) is not self.kind:
            return "its class"
        if not same(functions_of(self.module), self.functions):
            return "a function of its own"
        names = {"_modules": "its parts", "_parameters": "a parameter", "_buffers": "a buffer"}
        changed = (name for name, entries in self.tables.items() if not same(vars(self.module)[name], entries))
        return next((names.get(name, "its hooks") for name in changed), "")


def is_table(name: str, value: Any) -> bool:
    return name in TABLES or "_hooks" in name and hasattr(value, "items")


def functions_of(module: nn.Module) -> dict[str, Callable]:
    """{name: function} of a module's own attributes that hide a function of its class."""
    kind = type(module)
    return {name: value for name, value in vars(module).items()
            if callable(value) and callable(getattr(kind, name, None))}


def same(table: Mapping, entries: Mapping) -> bool:
    """Whether the same things stand under the same names, in the same order."""
    return list(table) == list(entries) and all(table[key] is value for key, value in entries.items())


class Weight:
    """A parameter's flags; its numbers are the business of whoever changes them."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor, self.requires_grad, self.grad = tensor, tensor.requires_grad, tensor.grad
        self.dtype, self.device = tensor.dtype, tensor.device

    def restore(self) -> None:
        self.tensor.requires_grad_(self.requires_grad)
        self.tensor.grad = None  # a failed step's may be of another format than the data that comes back
        if self.tensor.dtype != self.dtype or self.tensor.device != self.device:
            with torch.inference_mode(self.tensor.is_inference()):  # else it would be neither that nor a normal one
                self.tensor.data = self.tensor.data.to(self.device, self.dtype)
        self.tensor.grad = self.grad
