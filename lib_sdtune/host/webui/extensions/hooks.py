"""Hooks that torch calls around a module: those that others registered, and in a training all of them."""

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules import module as torch_module

from lib_sdtune.host.webui.extensions.ownership import Change, is_ours, owner_of

KINDS = {"_forward_hooks": "forward hook", "_forward_pre_hooks": "forward hook", "_backward_hooks": "backward hook",
         "_backward_pre_hooks": "backward hook"}


def tables_of(module: Any) -> dict[str, MutableMapping]:
    """{name: table} of a module's hook tables; those such as `_forward_hooks_with_kwargs` say how a hook of that id is
    called.
    """
    return {name: table for name, table in vars(module).items() if "_hooks" in name and hasattr(table, "items")}


@contextmanager
def put_aside(sd_model: nn.Module) -> Iterator[list[Change]]:
    """No hook of another extension acts inside, neither on a module of the model nor on all modules of the process."""
    named = ((name or "the model", module) for name, module in sd_model.named_modules())
    places = [("every module", torch_module), *named]
    with emptied([module for _, module in places], owner_of) as removed:
        names = {id(module): name for name, module in places}
        yield [Change(names[id(module)], KINDS.get(table, "hook"), owner_of(hook)) for module, table, hook in removed]


@contextmanager
def none(sd_model: nn.Module) -> Iterator[None]:
    """No module of the model has a hook inside but a training's own, whoever registered it (`--medvram` does)."""
    with emptied(list(sd_model.modules()), lambda hook: not is_ours(hook)):
        yield


@contextmanager
def emptied(modules: Sequence[Any], unwanted: Callable[[Any], Any]) -> Iterator[list[tuple[Any, str, Any]]]:
    """Take out the hooks that `unwanted(hook)` tells; afterwards they stand where they stood, before those that were
    added meanwhile.
    """
    before, removed = [], []
    for module in modules:
        tables = tables_of(module)
        ids = {number for table in tables.values() for number, hook in table.items()
               if callable(hook) and unwanted(hook)}
        if not ids:
            continue
        before += [(table, dict(table)) for table in tables.values()]
        for name, table in tables.items():
            for number in ids & table.keys():
                hook = table.pop(number)
                if callable(hook):
                    removed.append((module, name, hook))
    try:
        yield removed
    finally:
        for table, entries in before:
            added = {number: hook for number, hook in table.items() if number not in entries}
            table.clear()
            table.update(entries | added)
