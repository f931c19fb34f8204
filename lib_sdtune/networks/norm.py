"""The weights and biases of norm layers, as LyCORIS' train_norm changes them (w_norm and b_norm in its files, which the
WebUI reads in network_norm.py).

It is no network to choose: it learns beside one, in layers that have no matrix.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lib_sdtune.networks.base import Adapter
from lib_sdtune.networks.delta import Tensors, formula

TAILS = ("w_norm", "b_norm")


@formula("norm", needed=(set(TAILS),))
def change(tensors: Tensors, weight: torch.Tensor | None = None) -> torch.Tensor:
    """What is added to the weight; to the bias, which the file changes too, b_norm is."""
    return tensors["w_norm"]


def is_norm(tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether tensors with these tails are of a norm layer."""
    return set(TAILS) <= set(tensors)


class Norm(Adapter):
    """`layer` is a GroupNorm or a LayerNorm of any class; n(x) w + b becomes n(x) (w + w_norm) + b + b_norm."""

    name = "norm"

    def __init__(self, layer: Any) -> None:
        super().__init__(layer, 1, 1.0)
        self.groups, self.eps, self.shape = getattr(layer, "num_groups", None), layer.eps, layer.weight.shape
        self.w_norm, self.b_norm = (nn.Parameter(torch.zeros(self.shape, device=layer.weight.device)) for _ in TAILS)

    def change(self, x: torch.Tensor) -> torch.Tensor:
        """What is added to the layer's answer, float32."""
        if self.groups is None:
            return F.layer_norm(x.float(), self.shape, self.w_norm, self.b_norm, self.eps)
        return F.group_norm(x.float(), self.groups, self.w_norm, self.b_norm, self.eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.change(x).to(x.dtype)

    def add_to(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return y + self.dropouts.added(self.change(x)).to(y.dtype)

    def delta_weight(self) -> torch.Tensor:
        return self.w_norm

    def scale_delta(self, factor: torch.Tensor) -> None:
        for parameter in (self.w_norm, self.b_norm):
            parameter.data.mul_(factor)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {tail: getattr(self, tail).data for tail in TAILS}

    def load_tensors(self, tensors: Tensors) -> None:
        for tail in TAILS:
            getattr(self, tail).data.copy_(tensors[tail])

    @staticmethod
    def reads(tensors: Tensors) -> bool:
        return is_norm(tensors)

    @classmethod
    def like(cls, layer: Any, tensors: Tensors) -> "Norm":
        """One with the values of a file. RuntimeError where sizes differ."""
        adapter = cls(layer)
        if any(tensors[tail].shape != adapter.shape for tail in TAILS):
            raise RuntimeError("it changes a norm of another size")
        adapter.load_tensors(tensors)
        return adapter
