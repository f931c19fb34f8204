"""Hypernetworks as the WebUI knows them: small networks that change the context of attention layers.

For every width of context there is one pair, shared by all layers of that width: keys are made from k(context) and
values from v(context), where k and v are x + linear(x) * multiplier. They know neither method nor family;
`applied_hypernetworks` puts them before a UNet's layers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from lib_sdtune.devices import autocast_dtype, without_autocast

NAMED = {"linear": nn.Identity, "relu": nn.ReLU, "leakyrelu": nn.LeakyReLU, "elu": nn.ELU, "swish": nn.Hardswish,
         "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
UNNAMED = ("CELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LogSigmoid", "LogSoftmax", "Mish",
           "PReLU", "ReLU6", "RReLU", "SELU", "SiLU", "Softmax", "Softmax2d", "Softmin", "Softplus", "Softshrink",
           "Softsign", "Tanhshrink")
ACTIVATIONS = NAMED | {name.lower(): getattr(nn, name) for name in UNNAMED}
"""By the WebUI's names: torch's own in lower case, as far as they need no arguments and keep the shape."""

OVER_THE_BATCH = ("softmax", "softmax2d", "softmin", "logsoftmax")
"""Of them, those that without an argument normalise over the batch: at batch 1 nothing gets through, and a picture's
result depends on the others. Files that have them are read; new ones are not made.
"""

WEIGHT_INITS = ("Normal", "XavierUniform", "XavierNormal", "KaimingUniform", "KaimingNormal")


@dataclass(frozen=True)
class Structure:
    """How every module of a hypernetwork is built.

    layers: widths as multiples of the context's, the first and the last 1. dropout: a probability per entry of
    `layers`, the first and the last 0.
    """

    layers: tuple = (1, 2, 1)
    activation: str = "linear"
    layer_norm: bool = False
    activate_output: bool = False
    dropout: tuple = ()
    weight_init: str = field(default="Normal", compare=False)

    def dropout_after(self, i: int) -> float:
        return self.dropout[i] if self.dropout else 0


class Dropout(nn.Dropout):
    """Active where gradients are recorded, so that samples and validation see the full network without switching
    modes.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, self.p, torch.is_grad_enabled())


class HyperModule(nn.Module):
    """x (..., width) + linear(x), with the WebUI's parameter names. Parameters are float32."""

    def __init__(self, width: int, structure: Structure) -> None:
        super().__init__()
        sizes = [int(width * multiple) for multiple in structure.layers]
        last = len(sizes) - 1
        parts: list[nn.Module] = []
        for i, (inner, outer) in enumerate(zip(sizes, sizes[1:], strict=False), 1):
            parts.append(nn.Linear(inner, outer))
            if structure.activation != "linear" and (i < last or structure.activate_output):
                parts.append(ACTIVATIONS[structure.activation]())
            if structure.layer_norm:
                parts.append(nn.LayerNorm(outer))
            if structure.dropout_after(i):
                parts.append(Dropout(structure.dropout_after(i)))
        self.linear = nn.Sequential(*parts)

        self.linear_only = all(isinstance(part, nn.Linear) for part in parts)
        self.has_dropout = any(isinstance(part, nn.Dropout) for part in parts)
        self.sizes = sizes

    def forward(self, x: torch.Tensor, multiplier: float = 1.0) -> torch.Tensor:
        x32 = widened(x)
        delta = self.linear(x32)
        result = x32 + (delta if multiplier == 1.0 else delta * multiplier)
        return result if x32 is x else result.to(x.dtype)

    def product(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(weight, bias) of the one layer that does what layers with nothing between them do."""
        first, *others = (layer for layer in self.linear if isinstance(layer, nn.Linear))
        with without_autocast(first.weight.device):
            weight: torch.Tensor = first.weight
            bias: torch.Tensor = first.bias
            for layer in others:
                weight, bias = layer.weight @ weight, F.linear(bias, layer.weight, layer.bias)
        return weight, bias

    def break_even(self) -> float:
        """Number of tokens from which the product is less work than the layers; infinite for a single layer."""
        width, pairs = self.sizes[0], list(zip(self.sizes, self.sizes[1:], strict=False))
        once = sum(inner * outer * width for inner, outer in pairs[1:])
        saved_per_token = sum(inner * outer for inner, outer in pairs) - width * width
        return once / saved_per_token if saved_per_token > 0 else float("inf")

    @torch.no_grad()
    def initialize(self, weight_init: str, generator: torch.Generator) -> None:
        """Draw the first values: the WebUI's distributions, biases 0."""
        for part in self.linear:
            if isinstance(part, nn.Linear | nn.LayerNorm):
                normed = isinstance(part, nn.LayerNorm)
                part.weight.copy_(initial_weight(part.weight, "Normal" if normed else weight_init, generator))
                part.bias.zero_()


def widened(x: torch.Tensor) -> torch.Tensor:
    """x in the networks' own precision; autocast sees to that itself."""
    return x if x.dtype == torch.float32 or autocast_dtype(x.device) is not None else x.float()


def initial_weight(weight: torch.Tensor, weight_init: str, generator: torch.Generator) -> torch.Tensor:
    """Glorot & Bengio 2010 ("Xavier") and He et al. 2015 (arXiv 1502.01852, "Kaiming", fan in), or 0.01 of noise."""
    inner = weight.shape[-1]
    outer = weight.shape[0]
    variance = {"Normal": 1e-4, "Xavier": 2 / (inner + outer), "Kaiming": 2 / inner}
    std = variance[weight_init.removesuffix("Uniform").removesuffix("Normal") or "Normal"] ** 0.5
    if weight_init.endswith("Uniform"):
        return (torch.rand(weight.shape, generator=generator) * 2 - 1) * std * 3**0.5
    return torch.randn(weight.shape, generator=generator) * std


class Hypernetwork(nn.Module):
    """`pairs` maps a context width to its two modules, (k, v)."""

    def __init__(self, widths: Iterable[int], structure: Structure) -> None:
        super().__init__()
        self.structure = structure
        self.pairs = {width: (HyperModule(width, structure), HyperModule(width, structure)) for width in sorted(widths)}
        self.modules_of_pairs = nn.ModuleList(module for pair in self.pairs.values() for module in pair)
        self.eval()  # only dropout tells training from generating, and it goes by the gradients

    def tensors(self) -> dict[str, torch.Tensor]:
        """"768.k.linear.0.weight" -> tensor."""
        return {f"{width}.{part}.{name}": tensor.detach()
                for width, pair in self.pairs.items() for part, module in zip("kv", pair, strict=True)
                for name, tensor in module.state_dict().items()}

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        for width, pair in self.pairs.items():
            for part, module in zip("kv", pair, strict=True):
                start = f"{width}.{part}."
                module.load_state_dict({name.removeprefix(start): tensor for name, tensor in tensors.items()
                                        if name.startswith(start)})
