"""AdamW with 8-bit states (Dettmers et al. 2022, arXiv 2110.02861), when bitsandbytes is there already. It is never
installed.
"""

from typing import Any

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.optim import registry


@registry.register("AdamW8bit")
def adamw8bit(groups: list[dict[str, Any]], **arguments: Any) -> torch.optim.Optimizer:
    try:
        from bitsandbytes.optim import AdamW8bit
    except Exception as error:  # a broken native library raises anything
        raise UserError(
            '"train.optimizer" is AdamW8bit, which needs a working bitsandbytes; choose AdamW or Lion.'
        ) from error
    return AdamW8bit(groups, **arguments)


adamw8bit.bytes = 2  # for every value that learns
