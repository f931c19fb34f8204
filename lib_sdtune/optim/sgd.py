"""Plain descent with Nesterov momentum, torch's own."""

from typing import Any

import torch

from lib_sdtune.optim import registry


@registry.register("SGDNesterov")
def sgd(groups: list[dict[str, Any]], **arguments: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, **({"momentum": 0.9, "nesterov": True} | arguments))


sgd.bytes = 4  # for every value that learns
