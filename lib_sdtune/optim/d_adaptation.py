"""D-Adaptation (Defazio & Mishchenko 2023, arXiv 2301.07733), when dadaptation is there already. It finds its own rate:
give it 1.
"""

from collections.abc import Callable
from typing import Any

import torch

from lib_sdtune.optim import missing_package, registry


def d_adaptation(name: str) -> Callable[..., torch.optim.Optimizer]:
    """A function that makes the optimizer of that name."""

    def make(groups: list[dict[str, Any]], **arguments: Any) -> torch.optim.Optimizer:
        try:
            import dadaptation
        except ImportError as error:
            raise missing_package(name, "dadaptation") from error
        return getattr(dadaptation, name)(groups, **arguments)

    make.__qualname__ = name
    make.needs_all = True  # it finds one rate from all gradients
    make.finds_rate = True
    make.bytes = 16  # for every value that learns
    return make


for name in ("DAdaptAdam", "DAdaptLion", "DAdaptSGD"):
    registry.register(name)(d_adaptation(name))
