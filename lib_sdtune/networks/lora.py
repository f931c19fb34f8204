"""LoRA (Hu et al. 2021, arXiv 2106.09685), and LoCon where the layer is a 3x3 convolution: delta = up(down(x)) *
alpha / dim.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lib_sdtune.devices import autocast_dtype
from lib_sdtune.networks import registry
from lib_sdtune.networks.base import Adapter, Layer, convolution_of, spatial, uniform_parameter, zero_parameter
from lib_sdtune.networks.delta import Tensors, formula
from lib_sdtune.networks.dropout import Dropouts


@formula("lora", needed=({"lora_down.weight", "lora_up.weight"},), more={"lora_mid.weight"}, rank=("lora_down.weight",))
def change(tensors: Tensors, weight: torch.Tensor | None = None) -> torch.Tensor:
    """up times down, with the core between them where there is one."""
    down, up = tensors["lora_down.weight"], tensors["lora_up.weight"]
    if "lora_mid.weight" in tensors:
        return torch.einsum("or,rshw,si->oihw", up.flatten(1), tensors["lora_mid.weight"], down.flatten(1))
    return (up.flatten(1) @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])


@registry.register("lora")
class LoRA(Adapter):
    """Linear (out, in) or convolution (out, in, k, k); the down part keeps the kernel, stride and padding.

    use_tucker: 3x3 convolutions keep them in a part between the two, mid (dim, dim, k, k), as LyCORIS' LoCon can.
    copies: (down, up * scale) in half precision, see `optim.half_copies`, or None. A forward in that format reads them.
    """

    options = ("use_tucker",)
    has_up_part = supports_network_dropout = True
    network_module = "networks.lora"

    def __init__(self, layer: Layer, dim: int, alpha: float, generator: torch.Generator | None = None,
                 use_tucker: bool = False) -> None:
        super().__init__(layer, dim, alpha, generator)
        self.convolution = convolution_of(layer)
        outer, inner, *kernel = layer.weight.shape
        self.mid: nn.Parameter | None = None
        if use_tucker and spatial(layer.weight.shape):
            self.down = uniform_parameter((dim, inner, 1, 1), inner, layer, generator)
            self.mid = uniform_parameter((dim, dim, *kernel), dim * math.prod(kernel), layer, generator)
        else:
            self.down = uniform_parameter((dim, inner, *kernel), inner * math.prod(kernel), layer, generator)
        self.up = zero_parameter((outer, dim, *[1] * len(kernel)), layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        down, mid, up = self.down, self.mid, self.up * self.scale
        if x.dtype != down.dtype and autocast_dtype(x.device) is None:
            down, up = down.to(x.dtype), up.to(x.dtype)
            mid = None if mid is None else mid.to(x.dtype)
        if self.convolution is None:
            return F.linear(self.dropouts.inner(F.linear(x, down)), up)
        if mid is not None:
            x, down = F.conv2d(x, down), mid
        return F.conv2d(self.dropouts.inner(F.conv2d(x, down, **self.convolution)), up)

    def prepare_input(self, x: torch.Tensor) -> torch.Tensor:
        """In the format of the copies where that is computed in; a host that draws in another one keeps what it has."""
        return x.to(self.copies[0].dtype) if self.copies and autocast_dtype(x.device) == self.copies[0].dtype else x

    def add_to(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        if self.copies is None or not x.dtype == y.dtype == self.copies[0].dtype:
            return super().add_to(y, x)
        down, up = self.copies
        if self.convolution is not None:
            return y + F.conv2d(F.conv2d(x, down, **self.convolution), up)
        return torch.addmm(y.flatten(0, -2), F.linear(x, down).flatten(0, -2), up.t()).view(y.shape)

    def delta_weight(self) -> torch.Tensor:
        mid = {} if self.mid is None else {"lora_mid.weight": self.mid}
        return change({"lora_down.weight": self.down, **mid, "lora_up.weight": self.up}) * self.scale

    @property
    def up_part(self) -> nn.Parameter:
        return self.up

    def scale_delta(self, factor: torch.Tensor) -> None:
        """Each part takes its share."""
        parts = [part for part in (self.down, self.mid, self.up) if part is not None]
        for part in parts:
            part.data.mul_(factor ** (1 / len(parts)))

    def copied_parts(self) -> list[tuple[nn.Parameter, float]]:
        plain = self.mid is None and self.dropouts == Dropouts()
        return [(self.down, 1.0), (self.up, self.scale)] if plain else []

    @classmethod
    def metadata_arguments(cls) -> dict[str, Any]:
        return {}

    def tensors(self) -> dict[str, torch.Tensor]:
        mid = {} if self.mid is None else {"lora_mid.weight": self.mid.data}
        return {
            "lora_down.weight": self.down.data,
            **mid,
            "lora_up.weight": self.up.data,
            "alpha": torch.tensor(self.alpha),
        }

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.down.data.copy_(
            tensors["lora_down.weight"].reshape(self.down.shape)
        )  # some files keep 1x1 convolutions as matrices
        self.up.data.copy_(tensors["lora_up.weight"].reshape(self.up.shape))
        if self.mid is not None:
            self.mid.data.copy_(tensors["lora_mid.weight"])
        self.alpha = float(tensors.get("alpha", self.down.shape[0]))
        self.scale = self.alpha / self.down.shape[0]

    @staticmethod
    def reads(tensors: Mapping[str, torch.Tensor]) -> bool:
        """Whether these tails are a LoRA's."""
        return {"lora_down.weight", "lora_up.weight"} <= set(tensors) and "dora_scale" not in tensors

    @classmethod
    def dim_of(cls, tensors: Mapping[str, torch.Tensor]) -> int:
        return tensors["lora_down.weight"].shape[0]

    @classmethod
    def options_of(cls, tensors: Mapping[str, torch.Tensor]) -> dict:
        return {"use_tucker": "lora_mid.weight" in tensors}
