"""Lion (Chen et al. 2023, arXiv 2302.06675), from lion-pytorch. Wants about a third of AdamW's rate."""

from contextlib import suppress
from typing import Any

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.optim import registry

OF_FOREACH = {"betas", "weight_decay", "decoupled_weight_decay"}  # what the package's variant over lists takes


@registry.register("Lion")
def lion(groups: list[dict[str, Any]], **arguments) -> torch.optim.Optimizer:
    """The package's variant over lists of weights where it has one: a tenth of the launches on a GPU."""
    try:
        from lion_pytorch import Lion
    except ImportError as error:
        raise UserError('"train.optimizer" is Lion, which needs the package lion-pytorch; '
                        "restart the WebUI once, or choose AdamW.") from error
    if arguments.keys() <= OF_FOREACH:
        with suppress(ImportError):  # an older one lacks it
            from lion_pytorch.foreach import Lion
    return Lion(groups, **arguments)


lion.bytes = 4  # for every value that learns
