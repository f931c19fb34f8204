"""CAME (Luo et al. 2023, arXiv 2307.02047), when came-pytorch is there already. As steady as Adam, with less memory."""

from typing import Any

import torch

from lib_sdtune.optim import missing_package, registry


@registry.register("CAME")
def came(groups: list[dict[str, Any]], **arguments: Any) -> torch.optim.Optimizer:
    try:
        from came_pytorch import CAME
    except ImportError as error:
        raise missing_package("CAME", "came-pytorch", "Adafactor") from error
    return CAME(groups, lr=1.0, **arguments)  # it wants a rate, though every group has its own


came.bytes = 5  # for every value that learns
