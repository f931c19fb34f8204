"""LoRA (Hu et al. 2021, arXiv 2106.09685), and LoCon where the layer is a 3x3 convolution: delta = up(down(x)) *
alpha / dim.
"""

import math
from collections.abc import Mapping

import torch
from torch.nn import functional as F

from lib_sdtune.networks import registry
from lib_sdtune.networks.base import Adapter, Layer, convolution_of, uniform_parameter, zero_parameter


@registry.register("lora")
class LoRA(Adapter):
    """Linear (out, in) or convolution (out, in, k, k); the down part keeps the kernel, stride and padding."""

    def __init__(self, layer: Layer, dim, alpha, generator=None):
        super().__init__(layer, dim, alpha, generator)
        self.convolution = convolution_of(layer)
        outer, inner, *kernel = layer.weight.shape
        self.down = uniform_parameter((dim, inner, *kernel), inner * math.prod(kernel), layer, generator)
        self.up = zero_parameter((outer, dim, *[1] * len(kernel)), layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        down, up = self.down, self.up * self.scale
        if x.dtype != down.dtype and not torch.is_autocast_enabled():
            down, up = down.to(x.dtype), up.to(x.dtype)
        if self.convolution is not None:
            return F.conv2d(F.conv2d(x, down, **self.convolution), up)
        return F.linear(F.linear(x, down), up)

    def delta_weight(self) -> torch.Tensor:
        return (self.up.flatten(1) @ self.down.flatten(1) * self.scale).reshape(self.up.shape[0], *self.down.shape[1:])

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"lora_down.weight": self.down.data, "lora_up.weight": self.up.data, "alpha": torch.tensor(self.alpha)}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.down.data.copy_(
            tensors["lora_down.weight"].reshape(self.down.shape)
        )  # some files keep 1x1 convolutions as matrices
        self.up.data.copy_(tensors["lora_up.weight"].reshape(self.up.shape))
        self.alpha = float(tensors.get("alpha", self.down.shape[0]))
        self.scale = self.alpha / self.down.shape[0]

    @staticmethod
    def reads(tensors: Mapping[str, torch.Tensor]) -> bool:
        """Whether these tails are a LoRA's."""
        return {"lora_down.weight", "lora_up.weight"} <= set(tensors) and not {"lora_mid.weight", "dora_scale"} & set(
            tensors
        )

    @classmethod
    def dim_of(cls, tensors: Mapping[str, torch.Tensor]) -> int:
        return tensors["lora_down.weight"].shape[0]
