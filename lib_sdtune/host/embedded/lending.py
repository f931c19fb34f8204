"""Modules that are lent and come back as they were: modes, gradients, hooks, forwards, parts; and torch's RNG."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

Snapshot = tuple[nn.Module, bool, Callable | None, dict[str, dict]]

TABLES = ("_modules", "_parameters", "_buffers", "_forward_hooks", "_forward_pre_hooks", "_backward_hooks",
          "_backward_pre_hooks")


@contextmanager
def restored(*modules: nn.Module) -> Iterator[None]:
    """Everything about the modules is restored on exit, also after an exception, but for the numbers in their tensors
    and where those are: tensors that are held on to here would keep memory that others free meanwhile.
    """
    before = [snapshot(part) for module in modules for part in module.modules()]
    tensors = [(t, t.dtype, t.requires_grad, t.grad) for module in modules for t in module.parameters()]
    rng = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(rng)
        for tensor, dtype, requires_grad, grad in tensors:
            tensor.data, tensor.grad = tensor.data.to(dtype), grad
            tensor.requires_grad_(requires_grad)
        for part, training, forward, tables in before:
            restore(part, training, forward, tables)


def snapshot(part: nn.Module) -> Snapshot:
    tables = {name: dict(vars(part)[name]) for name in TABLES if name in vars(part)}
    return part, part.training, vars(part).get("forward"), tables


def restore(part: nn.Module, training: bool, forward: Callable | None, tables: dict[str, dict]) -> None:
    part.training = training
    if forward is None:
        vars(part).pop("forward", None)
    else:
        part.forward = forward
    for name, content in tables.items():
        table = vars(part)[name]
        table.clear()
        table.update(content)
