"""LoKr: the Kronecker product of a small full matrix and a low-rank one (LyCORIS, Yeh et al. 2024, arXiv
2309.14859).
"""

import math
from collections.abc import Mapping

import torch

from lib_sdtune.networks import registry
from lib_sdtune.networks.base import Layer, WeightAdapter, uniform_parameter, zero_parameter


@registry.register("lokr")
class LoKr(WeightAdapter):
    """delta = w1 x (w2_a w2_b) * alpha / dim; w1 is about the square root of each side, w2 has the kernel.

    Where dim is too large to save anything, w2 is a full matrix, and its strength is 1 as the readers take it.
    """

    def __init__(self, layer: Layer, dim, alpha, generator=None):
        super().__init__(layer, dim, alpha, generator)
        outer, inner, *kernel = self.shape
        (small_out, large_out), (small_in, large_in) = split(outer), split(inner)
        columns = large_in * math.prod(kernel)
        self.dim = dim
        self.w1 = uniform_parameter((small_out, small_in), small_in, layer, generator)
        self.full = dim * (large_out + columns) >= large_out * columns
        if self.full:
            self.w2 = zero_parameter((large_out, large_in, *kernel), layer)
            self.alpha, self.scale = float(dim), 1.0
        else:
            self.w2_a = zero_parameter((large_out, dim), layer)
            self.w2_b = uniform_parameter((dim, columns), columns, layer, generator)

    def delta_weight(self) -> torch.Tensor:
        w2 = self.w2.flatten(1) if self.full else self.w2_a @ self.w2_b
        return (torch.kron(self.w1, w2) * self.scale).reshape(self.shape)

    def tails(self) -> tuple[str, ...]:
        return ("w1", "w2") if self.full else ("w1", "w2_a", "w2_b")

    def tensors(self) -> dict[str, torch.Tensor]:
        return {f"lokr_{tail}": getattr(self, tail).data for tail in self.tails()} | {"alpha": torch.tensor(self.alpha)}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        for tail in self.tails():
            parameter = getattr(self, tail).data
            parameter.copy_(tensors[f"lokr_{tail}"].reshape(parameter.shape))
        if not self.full:
            self.alpha = float(tensors.get("alpha", self.dim))
            self.scale = self.alpha / self.dim

    @staticmethod
    def reads(tensors: Mapping[str, torch.Tensor]) -> bool:
        second = "lokr_w2" in tensors or {"lokr_w2_a", "lokr_w2_b"} <= set(tensors)
        return "lokr_w1" in tensors and second and "lokr_t2" not in tensors

    @classmethod
    def dim_of(cls, tensors: Mapping[str, torch.Tensor]) -> int:
        """The inner size of w2; for a full w2 any dim that keeps it full."""
        return tensors["lokr_w2_b"].shape[0] if "lokr_w2_b" in tensors else max(tensors["lokr_w2"].shape)


def split(side: int) -> tuple[int, int]:
    """(small, large) factors of `side`, as near to each other as they can be."""
    small = next(factor for factor in range(math.isqrt(side), 0, -1) if side % factor == 0)
    return small, side // small
