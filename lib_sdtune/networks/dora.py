"""DoRA: LoRA for the direction of a weight, and a learned length for it (Liu et al. 2024, arXiv 2402.09353).

The length is kept per input column, because that is the axis the WebUI's loader normalises over.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lib_sdtune.errors import UserError
from lib_sdtune.networks import registry
from lib_sdtune.networks.base import Layer, WeightAdapter
from lib_sdtune.networks.lora import LoRA


@registry.register("dora")
class DoRA(WeightAdapter):
    """delta = (W + BA) * dora_scale / |W + BA| - W, with dora_scale (1, in) or (1, in, 1, 1) starting at |W|."""

    options = LoRA.options
    has_up_part = True

    def __init__(self, layer: Layer, dim: int, alpha: float, generator: torch.Generator | None = None,
                 use_tucker: bool = False) -> None:
        super().__init__(layer, dim, alpha, generator)
        self.low_rank = LoRA(layer, dim, alpha, generator, use_tucker)
        self.layer = (layer,)  # in a tuple, so that it does not become a part of this module
        self.dora_scale = nn.Parameter(column_norm(layer.weight.detach().float()))

    def delta_weight(self) -> torch.Tensor:
        original = self.layer[0].weight.detach().float()
        updated = original + self.low_rank.delta_weight()
        # the paper's section 4.3: the length in the denominator is taken as a constant
        return updated * (self.dora_scale / column_norm(updated.detach())) - original

    @property
    def up_part(self) -> nn.Parameter:
        return self.low_rank.up

    def limit_norm(self, most: float) -> None:
        """That of its low-rank part; the lengths are what they learn to be."""
        self.low_rank.limit_norm(most)

    @classmethod
    def metadata_arguments(cls) -> dict[str, Any]:
        return {"algo": "lora", "dora_wd": True, "wd_on_output": False}

    def tensors(self) -> dict[str, torch.Tensor]:
        return self.low_rank.tensors() | {"dora_scale": self.dora_scale.data}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.low_rank.load_tensors(tensors)
        lengths = tensors["dora_scale"]
        if lengths.ndim > 1 and lengths.shape[0] > 1:
            raise UserError("its DoRA keeps the lengths of the outputs, and only those of the inputs are trained here")
        self.dora_scale.data.copy_(lengths.reshape(self.dora_scale.shape))

    @staticmethod
    def reads(tensors: Mapping[str, torch.Tensor]) -> bool:
        return {"lora_down.weight", "lora_up.weight", "dora_scale"} <= set(tensors)

    @classmethod
    def dim_of(cls, tensors: Mapping[str, torch.Tensor]) -> int:
        return LoRA.dim_of(tensors)

    @classmethod
    def options_of(cls, tensors: Mapping[str, torch.Tensor]) -> dict:
        return LoRA.options_of(tensors)


def column_norm(weight: torch.Tensor) -> torch.Tensor:
    """|W| of every input column, (1, in) or (1, in, 1, 1)."""
    return torch.linalg.vector_norm(weight, dim=[axis for axis in range(weight.ndim) if axis != 1], keepdim=True)
