"""Number formats: which one the forward runs in, and the scale that keeps float16 gradients from vanishing."""

from contextlib import contextmanager, nullcontext

import torch


def compute_dtype(setting, device, weights):
    """torch.float16, torch.bfloat16, or None for "as the weights are".

    "auto" stays with the weights' own half precision, takes bfloat16 for float32 weights on a GPU that has it, and
    nothing on the CPU, where it is slower.
    """
    if setting == "no":
        return None
    if setting in ("fp16", "bf16"):
        return torch.float16 if setting == "fp16" else torch.bfloat16
    if weights in (torch.float16, torch.bfloat16):
        return weights
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return None


def autocast(device, dtype):
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


class LossScale:
    """Dynamic loss scaling (Micikevicius et al. 2018, arXiv 1710.03740) that fits into two numbers of the state.

    Does nothing unless the forward runs in float16.
    """

    def __init__(self, dtype):
        self.active = dtype == torch.float16
        self.scale, self.good = (2.0**16 if self.active else 1.0), 0

    def update(self, finite):
        """Halve after a step that overflowed, double after 1000 that did not. Whether the overflow was only the scale's."""
        if not self.active:
            return False
        if finite:
            self.good += 1
            if self.good % 1000 == 0:
                self.scale = min(self.scale * 2, 2.0**24)
            return False
        self.good, self.scale = 0, self.scale / 2
        return self.scale >= 1


@contextmanager
def frozen(model):
    """Nothing of the model itself learns: no gradients, evaluation mode. Flags and gradients are put back on exit."""
    modules = [part for _, whole in model.modules() for part in whole.modules()]
    params = [p for _, whole in model.modules() for p in whole.parameters()]
    flags = [(p, p.requires_grad, p.grad) for p in params]
    modes = [(m, m.training) for m in modules]
    try:
        for p in params:
            p.requires_grad_(False)
        for m in modules:
            m.training = False  # assigned, because hosts replace .train()
        yield
    finally:
        for p, flag, grad in flags:
            p.requires_grad_(flag)
            p.grad = grad
        for m, mode in modes:
            m.training = mode
