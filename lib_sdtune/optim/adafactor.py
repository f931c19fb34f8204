"""Adafactor (Shazeer & Stern 2018, arXiv 1804.04235), from transformers, which the WebUI has. It remembers little.

It follows the rate that is set, as its authors' `relative_step` and `scale_parameter` are off.
"""

from typing import Any

import torch

from lib_sdtune.optim import missing_package, registry

FIXED_RATE = {"relative_step": False, "scale_parameter": False, "warmup_init": False}


@registry.register("Adafactor")
def adafactor(groups: list[dict[str, Any]], **arguments: Any) -> torch.optim.Optimizer:
    try:
        from transformers.optimization import Adafactor
    except ImportError as error:
        raise missing_package("Adafactor", "transformers") from error
    return Adafactor(groups, **(FIXED_RATE | arguments))


adafactor.bytes = 1  # for every value that learns: a number for each row and column
