"""Hypernetworks as the WebUI knows them: small networks that change the context of attention layers.

For every width of context there is one pair, shared by all layers of that width: keys are made from k(context) and
values from v(context), where k and v are x + linear(x) * multiplier. They know neither method nor family.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lib_sdtune.devices import autocast_dtype, without_autocast
from lib_sdtune.ldm.layers import refuse_without_weight
from lib_sdtune.networks.base import wrapped_forward

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
        parts = []
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
        with without_autocast(self.linear[0].weight.device):
            weight, bias = self.linear[0].weight, self.linear[0].bias
            for layer in self.linear[1:]:
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


class Product:
    """A pair of modules with nothing between their layers, as one layer: both of its results in one go.

    What the residual adds is part of the weights, but not where autocast would round them: 1 + 0.001 is 1 in
    bfloat16.
    """

    def __init__(self, pair: Sequence["HyperModule"], multiplier: float, rounded: bool) -> None:
        weights, biases = zip(*(module.product() for module in pair), strict=True)
        self.weight, self.bias, self.rounded = torch.cat(weights) * multiplier, torch.cat(biases) * multiplier, rounded
        if not rounded:
            self.weight = self.weight + torch.eye(self.weight.shape[1], device=self.weight.device).repeat(len(pair), 1)

    def __call__(self, x: torch.Tensor) -> Sequence[torch.Tensor]:
        """(keys' x, values' x)."""
        x32 = widened(x)
        results = F.linear(x32, self.weight, self.bias).chunk(2, dim=-1)
        if self.rounded:
            results = [x32 + result for result in results]
        return results if x32 is x else [result.to(x.dtype) for result in results]


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


def attentions(unet: nn.Module) -> list[nn.Module]:
    """Every attention layer of a UNet: whatever makes keys and values from a context with `to_k` and `to_v`.

    UserError where one of these has no matrix of plain numbers.
    """
    layers = [(name, module) for name, module in unet.named_modules()
              if all(isinstance(getattr(module, part, None), nn.Module) for part in ("to_q", "to_k", "to_v"))]
    for name, module in layers:
        refuse_without_weight(module.to_k, f"{name}.to_k")
        refuse_without_weight(module.to_v, f"{name}.to_v")
    return [module for _, module in layers]


def context_widths(unet: nn.Module) -> list[int]:
    """Sorted widths of the attention layers' contexts: the text's and, for self-attention, each level's own."""
    return sorted({attention.to_k.weight.shape[1] for attention in attentions(unet)})


@contextmanager
def applied_hypernetworks(unet: nn.Module, hypernetworks: Sequence[tuple[Hypernetwork, float]]) -> Iterator[None]:
    """Put [(hypernetwork, multiplier), ...] before the keys and values, the first one nearest to the context.

    Layers and the UNet get a `forward` of their own meanwhile, which host and networks may wrap; on exit they are as
    before.
    """
    with ExitStack() as stack:
        for hypernetwork, multiplier in reversed(hypernetworks):
            contexts = SharedContexts(unet, hypernetwork, multiplier)
            stack.enter_context(wrapped_forward(unet, contexts.once_per_prediction))
            for attention in attentions(unet):
                for part, layer in (("k", attention.to_k), ("v", attention.to_v)):
                    if layer.weight.shape[1] in hypernetwork.pairs:
                        stack.enter_context(wrapped_forward(layer, contexts.in_front_of(part, layer.weight.shape[1])))
        yield


class SharedContexts:
    """One hypernetwork at work: what all layers share is computed once per prediction.

    That is the text as each module changes it, because every layer gets the same text, and the product of linear
    layers that have nothing between them, where that is less work. Layers must not make these themselves, or
    recomputing a block (gradient checkpointing) would not repeat what its first computation did.
    """

    def __init__(self, unet: nn.Module, hypernetwork: Hypernetwork, multiplier: float) -> None:
        self.pairs, self.multiplier = hypernetwork.pairs, multiplier
        self.layers = Counter(attention.to_k.weight.shape[1] for attention in attentions(unet))
        self.narrowest = min(attention.to_q.weight.shape[1] for attention in attentions(unet))
        self.text, self.changed, self.products, self.values = None, {}, {}, (None, None)

    def once_per_prediction(self, forward: Callable) -> Callable:
        def wrapped(noisy: torch.Tensor, timesteps: torch.Tensor, context: torch.Tensor | None = None, *args: Any,
                    **kwargs: Any) -> Any:
            self.text, self.changed, self.products, self.values = context, {}, {}, (None, None)
            for width, pair in self.pairs.items():
                if pair[0].linear_only and self.tokens(width, noisy, context) > pair[0].break_even():
                    self.products[width] = Product(pair, self.multiplier, autocast_dtype(noisy.device) is not None)
                if context is not None and context.shape[-1] == width and not pair[0].has_dropout:
                    self.changed[width] = self.both(width, context)
            # nothing is dropped afterwards: the backward pass may recompute blocks
            return forward(noisy, timesteps, context, *args, **kwargs)

        return wrapped

    def tokens(self, width: int, noisy: torch.Tensor, context: torch.Tensor | None) -> int:
        """About how many tokens of that width all layers get: levels twice as wide have a quarter of the pixels."""
        of_text = 0 if context is None or context.shape[-1] != width else context.shape[1]
        return noisy.shape[0] * self.layers[width] * (of_text or noisy[0, 0].numel() * self.narrowest**2 // width**2)

    def both(self, width: int, x: torch.Tensor) -> Sequence[torch.Tensor]:
        if width in self.products:
            return self.products[width](x)
        return [module(x, self.multiplier) for module in self.pairs[width]]

    def in_front_of(self, part: str, width: int) -> Callable[[Callable], Callable]:
        """What wraps the forward of a layer for keys ("k") or values ("v")."""
        change = self.keys_of if part == "k" else self.values_of

        def wrap(forward: Callable) -> Callable:
            return lambda x: forward(change(width, x))

        return wrap

    def keys_of(self, width: int, x: torch.Tensor) -> torch.Tensor:
        if x is self.text and width in self.changed:
            return self.changed[width][0]
        if width not in self.products:
            return self.pairs[width][0](x, self.multiplier)
        keys, values = self.products[width](x)
        self.values = x, values  # a layer asks for its values next
        return keys

    def values_of(self, width: int, x: torch.Tensor) -> torch.Tensor:
        if x is self.text and width in self.changed:
            return self.changed[width][1]
        if width not in self.products:
            return self.pairs[width][1](x, self.multiplier)
        (context, values), self.values = self.values, (None, None)
        return values if context is x else self.products[width](x)[1]
