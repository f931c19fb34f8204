"""Lion (Chen et al. 2023, arXiv 2302.06675), from lion-pytorch. Wants about a third of AdamW's rate."""

from typing import Any

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.optim import registry


@registry.register("Lion")
def lion(groups: list[dict[str, Any]], **arguments) -> torch.optim.Optimizer:
    try:
        from lion_pytorch import Lion
    except ImportError as error:
        raise UserError('"train.optimizer" is Lion, which needs the package lion-pytorch; '
                        "restart the WebUI once, or choose AdamW.") from error
    return Lion(groups, **arguments)


lion.bytes = 4  # for every value that learns
