"""Hypernetworks at work: put before the keys and values of a UNet's attention layers, which share what they compute."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.nn import functional as F

from lib_sdtune.devices import autocast_dtype
from lib_sdtune.ldm.layers import refuse_without_weight
from lib_sdtune.networks.base import wrapped_forward
from lib_sdtune.networks.hypernetwork import HyperModule, Hypernetwork, widened


class Attention(Protocol):
    """A host may have classes of its own for the layers; they multiply with a matrix too."""

    to_q: nn.Linear
    to_k: nn.Linear
    to_v: nn.Linear


def attentions(unet: nn.Module) -> list[Attention]:
    """Every attention layer of a UNet: whatever makes keys and values from a context with `to_k` and `to_v`.

    UserError where one of these has no matrix of plain numbers.
    """
    layers = [(name, cast(Attention, module)) for name, module in unet.named_modules()
              if all(isinstance(getattr(module, part, None), nn.Module) for part in ("to_q", "to_k", "to_v"))]
    for name, attention in layers:
        refuse_without_weight(attention.to_k, f"{name}.to_k")
        refuse_without_weight(attention.to_v, f"{name}.to_v")
    return [attention for _, attention in layers]


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
        self.begin(None)

    def begin(self, text: torch.Tensor | None) -> None:
        """A prediction of that text comes next; what was computed for the last one is let go of."""
        self.text = text
        self.changed: dict[int, Sequence[torch.Tensor]] = {}  # width -> the text as its pair changes it
        self.products: dict[int, Product] = {}
        self.values: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None)  # of which context, and what

    def once_per_prediction(self, forward: Callable) -> Callable:
        def wrapped(noisy: torch.Tensor, timesteps: torch.Tensor, context: torch.Tensor | None = None, *args: Any,
                    **kwargs: Any) -> Any:
            self.begin(context)
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
        return values if context is x and values is not None else self.products[width](x)[1]


class Product:
    """A pair of modules with nothing between their layers, as one layer: both of its results in one go.

    What the residual adds is part of the weights, but not where autocast would round them: 1 + 0.001 is 1 in
    bfloat16.
    """

    def __init__(self, pair: Sequence[HyperModule], multiplier: float, rounded: bool) -> None:
        weights, biases = zip(*(module.product() for module in pair), strict=True)
        self.weight, self.bias, self.rounded = torch.cat(weights) * multiplier, torch.cat(biases) * multiplier, rounded
        if not rounded:
            self.weight = self.weight + torch.eye(self.weight.shape[1], device=self.weight.device).repeat(len(pair), 1)

    def __call__(self, x: torch.Tensor) -> Sequence[torch.Tensor]:
        """(keys' x, values' x)."""
        x32 = widened(x)
        results: Sequence[torch.Tensor] = F.linear(x32, self.weight, self.bias).chunk(2, dim=-1)
        if self.rounded:
            results = [x32 + result for result in results]
        return results if x32 is x else [result.to(x.dtype) for result in results]
