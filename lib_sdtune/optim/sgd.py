"""Plain descent with Nesterov momentum, torch's own."""

import torch

from lib_sdtune.optim import registry


@registry.register("SGDNesterov")
def sgd(groups, **arguments):
    return torch.optim.SGD(groups, **({"momentum": 0.9, "nesterov": True} | arguments))


sgd.bytes = 4  # for every value that learns
