"""Adapters whose parameters are just the tensors of their file, under the names in it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lib_sdtune.networks.base import Layer, WeightAdapter
from lib_sdtune.networks.delta import FORMULAS, algorithm, rank_of, scale


class FactoredAdapter(WeightAdapter):
    """A `WeightAdapter` by the formula of `networks.delta` that its registered name has.

    like: tensors of a file (tail -> tensor), whose factors it takes over, whatever options they were made with.
    fixed: tails that stay as they are.
    """

    fixed: tuple[str, ...] = ()

    def __init__(
        self,
        layer: Layer,
        dim: int,
        alpha: float,
        generator: torch.Generator | None = None,
        like: Mapping[str, torch.Tensor] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(layer, dim, alpha, generator)
        self.layer = (layer,)  # in a tuple, so that it does not become a part of this module
        factors = like or self.first_values(layer.weight.shape, dim, generator, **options)
        self.tails = sorted(set(factors) - {"alpha"})
        for tail in self.tails:
            values = factors[tail].detach().to(layer.weight.device, torch.float32, copy=True)
            if tail in self.fixed:
                self.register_buffer(tail, values)
            else:
                self.register_parameter(tail, nn.Parameter(values))
        if rank_of(self.factors()) is None:  # readers take whole matrices as they are
            self.alpha, self.scale = float(alpha if like else dim), 1.0

    def first_values(self, shape: torch.Size, dim: int, generator: torch.Generator | None) -> dict[str, torch.Tensor]:
        """tail -> float32 tensor for a weight of that shape, so that delta is 0."""
        raise NotImplementedError

    def factors(self) -> dict[str, torch.Tensor]:
        return {tail: getattr(self, tail) for tail in self.tails}

    def delta_weight(self) -> torch.Tensor:
        formula = FORMULAS[self.name]
        weight = self.layer[0].weight.detach().float() if formula.of_weight else None
        return (formula.change(self.factors(), weight) * self.scale).reshape(self.shape)

    def scale_delta(self, factor: torch.Tensor) -> None:
        """The change is linear in each parameter, so the first takes it all."""
        getattr(self, self.tails[0]).data.mul_(factor)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {tail: tensor.data for tail, tensor in self.factors().items()} | {"alpha": torch.tensor(self.alpha)}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        for tail, tensor in self.factors().items():
            tensor.data.copy_(tensors[tail].reshape(tensor.shape))
        rank = rank_of(tensors)
        if rank is not None:
            self.alpha = float(tensors.get("alpha", rank))
            self.scale = scale(tensors)

    @classmethod
    def reads(cls, tensors: Mapping[str, torch.Tensor]) -> bool:
        return algorithm(tensors) == cls.name and "dora_scale" not in tensors

    @classmethod
    def dim_of(cls, tensors: Mapping[str, torch.Tensor]) -> int:
        """The rank; for whole matrices any dim that keeps them whole."""
        return rank_of(tensors) or max(max(tensor.shape) for tensor in tensors.values() if tensor.ndim)

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: Mapping[str, torch.Tensor]) -> "FactoredAdapter":
        dim = cls.dim_of(tensors)
        adapter = cls(layer, dim, float(tensors.get("alpha", dim)), like=tensors)
        if adapter.delta_weight().numel() != layer.weight.numel():
            raise RuntimeError("it changes a weight of another size")
        return adapter
