"""Optimizers that need no schedule (Defazio et al. 2024, arXiv 2405.15682), when schedulefree is there already.

They step one set of values and keep the mean of another; files, samples and validation want the mean.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from lib_sdtune.optim import missing_package, registry


def schedule_free(name: str) -> Callable[..., torch.optim.Optimizer]:
    """A function that makes the optimizer of that name."""

    def make(groups: list[dict[str, Any]], **arguments: Any) -> torch.optim.Optimizer:
        try:
            import schedulefree
        except ImportError as error:
            raise missing_package(name, "schedulefree") from error
        optimizer = getattr(schedulefree, name)(groups, **arguments)
        optimizer.train()
        return optimizer

    make.__qualname__ = name
    make.keeps_mean = True  # type: ignore[attr-defined]
    return make


for name in ("AdamWScheduleFree", "RAdamScheduleFree", "SGDScheduleFree"):
    registry.register(name)(schedule_free(name))


@contextmanager
def showing_means(optimizers: Sequence[Any], parameters: Sequence[torch.Tensor]) -> Iterator[None]:
    """The parameters hold the means; on exit every one has its bits again, whatever happens."""
    stepped = [parameter.detach().clone() for parameter in parameters]
    modes = [[group["train_mode"] for group in optimizer.param_groups] for optimizer in optimizers]
    try:
        for optimizer in optimizers:
            optimizer.eval()
        yield
    finally:
        for parameter, values in zip(parameters, stepped, strict=True):
            parameter.data.copy_(values)  # to reckon back would round
        for optimizer, modes_of_groups in zip(optimizers, modes, strict=True):
            for group, mode in zip(optimizer.param_groups, modes_of_groups, strict=True):
                group["train_mode"] = mode
