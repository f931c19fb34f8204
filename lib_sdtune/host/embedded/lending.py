"""Modules that are lent and come back as they were: modes, gradients, hooks, forwards, parts, and the random number generator."""

from contextlib import contextmanager

import torch

KEPT = ("_modules", "_parameters", "_buffers", "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextmanager
def as_it_was(*modules):
    """Everything about the modules but the numbers in their tensors is restored on exit, also after an exception."""
    before = [snapshot(part) for module in modules for part in module.modules()]
    tensors = [(t, t.data, t.requires_grad, t.grad) for module in modules for t in module.parameters()]
    rng = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(rng)
        for tensor, data, requires_grad, grad in tensors:
            tensor.data, tensor.grad = data, grad
            tensor.requires_grad_(requires_grad)
        for part, training, forward, kept in before:
            restore(part, training, forward, kept)


def snapshot(part):
    kept = {name: dict(vars(part)[name]) for name in KEPT if name in vars(part)}
    return part, part.training, vars(part).get("forward"), kept


def restore(part, training, forward, kept):
    part.training = training
    if forward is None:
        vars(part).pop("forward", None)
    else:
        part.forward = forward
    for name, content in kept.items():
        own = vars(part)[name]
        own.clear()
        own.update(content)
