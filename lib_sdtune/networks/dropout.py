"""Dropout of networks, as sd-scripts' and LyCORIS' options of these names: active where gradients are recorded, so
that samples and validation see the whole network. The trainer fixes torch's chance before every forward.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Dropouts:
    """Probabilities. network: of each value between down and up; rank: of a whole rank, for each example; module: of
    everything that a layer's adapter adds.
    """

    network: float = 0.0
    rank: float = 0.0
    module: float = 0.0

    @property
    def active(self) -> bool:
        return torch.is_grad_enabled()

    def inner(self, values: torch.Tensor) -> torch.Tensor:
        """What lies between down and up, (B, …, rank) of linear layers or (B, rank, h, w)."""
        if not self.active:
            return values
        if self.network:
            values = F.dropout(values, self.network)
        if self.rank:
            spatial = values.ndim == 4
            shape = (
                values.shape[0],
                *([values.shape[1], 1, 1] if spatial else [1] * (values.ndim - 2) + [values.shape[-1]]),
            )
            values = values * self.mask(self.rank, shape, values) / (1 - self.rank)
        return values

    def rows(self, shape: torch.Size, device: torch.device) -> torch.Tensor | None:
        """Which outputs of the change of a weight of that shape stay, as a float32 mask to multiply it by, (out, 1, …);
        None: all of them. Nothing makes up for those left out, as in LyCORIS.
        """
        if not (self.active and self.rank):
            return None
        return self.mask(self.rank, (shape[0], *[1] * (len(shape) - 1)), torch.empty((), device=device))

    def added(self, delta: torch.Tensor) -> torch.Tensor:
        """What an adapter adds to its layer's answer, or zeros."""
        return delta * self.mask(self.module, (), delta) if self.active and self.module else delta

    @staticmethod
    def mask(probability: float, shape: tuple, like: torch.Tensor) -> torch.Tensor:
        return (torch.rand(shape, device=like.device) >= probability).to(like.dtype)
