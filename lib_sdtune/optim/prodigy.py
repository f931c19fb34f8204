"""Prodigy (Mishchenko & Defazio 2023, arXiv 2306.06101), when prodigyopt is there already. It finds its own rate: give
it 1.
"""

from typing import Any

import torch

from lib_sdtune.optim import missing_package, registry


@registry.register("Prodigy")
def prodigy(groups: list[dict[str, Any]], **arguments: Any) -> torch.optim.Optimizer:
    try:
        from prodigyopt import Prodigy
    except ImportError as error:
        raise missing_package("Prodigy", "prodigyopt") from error
    return Prodigy(groups, **arguments)


prodigy.needs_all = True  # it finds one rate from all gradients
prodigy.finds_rate = True
prodigy.bytes = 16
