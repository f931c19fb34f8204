"""Lion (Chen et al. 2023, arXiv 2302.06675), from lion-pytorch. Wants about a third of AdamW's rate."""

from functools import cache
from typing import Any

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.optim import registry
from lib_sdtune.optim.sync_free_lion import SyncFreeLion

OF_FOREACH = {"betas", "weight_decay", "decoupled_weight_decay"}  # what the package's variant over lists takes


def steps_over_lists(arguments: dict[str, Any]) -> bool:
    """Whether the package's variant over lists of weights can be had: a tenth of the launches on a GPU."""
    try:
        import lion_pytorch.foreach  # noqa: F401  an older one lacks it
    except ImportError:
        return False
    return arguments.keys() <= OF_FOREACH


@registry.register("Lion")
def lion(groups: list[dict[str, Any]], **arguments: Any) -> torch.optim.Optimizer:
    try:
        from lion_pytorch import Lion
    except ImportError as error:
        raise UserError('"train.optimizer" is Lion, which needs the package lion-pytorch; '
                        "restart the WebUI once, or choose AdamW.") from error
    if not steps_over_lists(arguments):
        return Lion(groups, **arguments)
    return sync_free_lion()(groups, **arguments)


@cache
def sync_free_lion() -> type[torch.optim.Optimizer]:
    """The package's variant over lists, that nobody waits for."""
    from lion_pytorch import foreach

    return type("SyncFreeLion", (SyncFreeLion, foreach.Lion), {})


lion.bytes = 4  # for every value that learns
lion.supports_found_inf = steps_over_lists
