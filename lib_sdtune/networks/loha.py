"""LoHa: the Hadamard product of two low-rank matrices (FedPara, Hyeon-Woo et al. 2022, arXiv 2108.06098; LyCORIS'
file names).
"""

import math
from collections.abc import Mapping

import torch

from lib_sdtune.networks import registry
from lib_sdtune.networks.base import Layer, WeightAdapter, normal_parameter, zero_parameter

TAILS = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")


@registry.register("loha")
class LoHa(WeightAdapter):
    """delta = (w1_a w1_b) * (w2_a w2_b) * alpha / dim, with w*_a (out, dim) and w*_b (dim, in k k)."""

    def __init__(self, layer: Layer, dim, alpha, generator=None):
        super().__init__(layer, dim, alpha, generator)
        outer, inner = self.shape[0], math.prod(self.shape[1:])
        self.w1_a = normal_parameter((outer, dim), 0.1, layer, generator)  # the spreads are LyCORIS'
        self.w1_b = normal_parameter((dim, inner), 1.0, layer, generator)
        self.w2_a = zero_parameter((outer, dim), layer)
        self.w2_b = normal_parameter((dim, inner), 1.0, layer, generator)

    def delta_weight(self) -> torch.Tensor:
        return ((self.w1_a @ self.w1_b) * (self.w2_a @ self.w2_b) * self.scale).reshape(self.shape)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {tail: getattr(self, tail.removeprefix("hada_")).data for tail in TAILS} | {
            "alpha": torch.tensor(self.alpha)
        }

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        for tail in TAILS:
            parameter = getattr(self, tail.removeprefix("hada_")).data
            parameter.copy_(tensors[tail].reshape(parameter.shape))
        self.alpha = float(tensors.get("alpha", self.w1_b.shape[0]))
        self.scale = self.alpha / self.w1_b.shape[0]

    @staticmethod
    def reads(tensors: Mapping[str, torch.Tensor]) -> bool:
        return set(TAILS) <= set(tensors) and not {"hada_t1", "hada_t2"} & set(tensors)

    @classmethod
    def dim_of(cls, tensors: Mapping[str, torch.Tensor]) -> int:
        return tensors["hada_w1_b"].shape[0]
