"""Functions that stand on one module and hide those of its class: `module.forward = ...` and the like."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from lib_sdtune.host.webui.extensions.ownership import Change, owner_of
from lib_sdtune.host.webui.structure import functions_of


@contextmanager
def put_aside(sd_model: nn.Module) -> Iterator[list[Change]]:
    """Each module answers as its class does, wherever another extension had it answer otherwise.

    No module has a forward of its own either, whoever put it there: the built-in Hypertile leaves some on attention.
    """
    removed, changes = [], []
    for path, module in sd_model.named_modules():
        for name, function in functions_of(module).items():
            owner = owner_of(function)
            if owner or name == "forward":
                removed.append((module, name, vars(module).pop(name)))
            if owner:
                changes.append(Change(path or "the model", f"own {name}", owner))
    try:
        yield changes
    finally:
        for module, name, function in removed:
            vars(module).setdefault(name, function)
