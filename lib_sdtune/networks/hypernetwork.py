"""Hypernetworks as the WebUI knows them: small networks that change what attention layers listen to.

For every width of context there is one pair, shared by all layers of that width: keys are made from k(context) and values
from v(context), where k and v are x + linear(x) * multiplier. They know neither method nor family.
"""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

SHORT = {"linear": nn.Identity, "relu": nn.ReLU, "leakyrelu": nn.LeakyReLU, "elu": nn.ELU, "swish": nn.Hardswish,
         "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
LONG = ("CELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "ReLU6",
        "RReLU", "SELU", "SiLU", "Softmax", "Softmax2d", "Softmin", "Softplus", "Softshrink", "Softsign", "Tanhshrink")
ACTIVATIONS = SHORT | {name.lower(): getattr(nn, name) for name in LONG}
"""By the WebUI's names: torch's own in lower case, as far as they need no arguments and keep the shape."""

WEIGHT_INITS = ("Normal", "XavierUniform", "XavierNormal", "KaimingUniform", "KaimingNormal")


@dataclass(frozen=True)
class Structure:
    """How every module of a hypernetwork is built.

    layers: widths as multiples of the context's, the first and the last 1. dropout: a probability per entry of `layers`,
    the first and the last 0.
    """

    layers: tuple = (1, 2, 1)
    activation: str = "linear"
    layer_norm: bool = False
    activate_output: bool = False
    dropout: tuple = ()
    weight_init: str = field(default="Normal", compare=False)

    def dropout_after(self, i):
        return self.dropout[i] if self.dropout else 0


class Dropout(nn.Dropout):
    """Active where gradients are recorded, so that samples and validation see the whole network without switching modes."""

    def forward(self, x):
        return F.dropout(x, self.p, torch.is_grad_enabled())


class HyperModule(nn.Module):
    """x (..., width) + linear(x), with the WebUI's parameter names. Parameters are float32."""

    def __init__(self, width, structure):
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

    def forward(self, x, multiplier=1.0):
        half = None if torch.is_autocast_enabled() or x.dtype == torch.float32 else x.dtype
        wide = x.float() if half else x
        delta = self.linear(wide)
        answer = wide + (delta if multiplier == 1.0 else delta * multiplier)
        return answer.to(half) if half else answer

    @torch.no_grad()
    def begin(self, weight_init, chance):
        """Starting values, drawn from `chance`, a generator: the WebUI's distributions, biases 0."""
        for part in self.linear:
            if isinstance(part, nn.Linear | nn.LayerNorm):
                normed = isinstance(part, nn.LayerNorm)
                part.weight.copy_(beginning(part.weight, "Normal" if normed else weight_init, chance))
                part.bias.zero_()


def beginning(weight, weight_init, chance):
    """Glorot & Bengio 2010 ("Xavier") and He et al. 2015 (arXiv 1502.01852, "Kaiming", fan in), or 0.01 of noise."""
    inner = weight.shape[-1]
    outer = weight.shape[0]
    variance = {"Normal": 1e-4, "Xavier": 2 / (inner + outer), "Kaiming": 2 / inner}
    std = variance[weight_init.removesuffix("Uniform").removesuffix("Normal") or "Normal"] ** 0.5
    if weight_init.endswith("Uniform"):
        return (torch.rand(weight.shape, generator=chance) * 2 - 1) * std * 3**0.5
    return torch.randn(weight.shape, generator=chance) * std


class Hypernetwork(nn.Module):
    """`pairs` maps a context width to its two modules, (k, v)."""

    def __init__(self, widths, structure):
        super().__init__()
        self.structure = structure
        self.pairs = {width: (HyperModule(width, structure), HyperModule(width, structure)) for width in sorted(widths)}
        self.held = nn.ModuleList(module for pair in self.pairs.values() for module in pair)
        self.eval()  # only dropout tells training from generating, and it goes by the gradients

    def tensors(self):
        """"768.k.linear.0.weight" -> tensor."""
        return {f"{width}.{part}.{name}": tensor.detach()
                for width, pair in self.pairs.items() for part, module in zip("kv", pair, strict=True)
                for name, tensor in module.state_dict().items()}

    def load_tensors(self, tensors):
        for width, pair in self.pairs.items():
            for part, module in zip("kv", pair, strict=True):
                start = f"{width}.{part}."
                module.load_state_dict({name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)})


def attentions(unet):
    """Every attention layer of a UNet: whatever makes keys and values from a context with linear `to_k` and `to_v`."""
    return [m for m in unet.modules() if isinstance(getattr(m, "to_k", None), nn.Linear) and isinstance(getattr(m, "to_v", None), nn.Linear)]


def context_widths(unet):
    """Sorted widths of what the attention layers listen to: the text's and, for self-attention, each level's own."""
    return sorted({attention.to_k.in_features for attention in attentions(unet)})


@contextmanager
def listening(unet, hypernetworks):
    """Put [(hypernetwork, multiplier), ...] before the keys and values, the first one nearest to the context.

    Layers get an own `forward` meanwhile, which host and networks may wrap; on exit they are as before.
    """
    with ExitStack() as stack:
        for hypernetwork, multiplier in reversed(hypernetworks):
            for attention in attentions(unet):
                pair = hypernetwork.pairs.get(attention.to_k.in_features)
                if pair:
                    stack.enter_context(behind(attention.to_k, pair[0], multiplier))
                    stack.enter_context(behind(attention.to_v, pair[1], multiplier))
        yield


@contextmanager
def behind(layer, module, multiplier):
    """layer(x) becomes layer(module(x))."""
    straight, own = layer.forward, layer.__dict__.get("forward")

    def forward(x, *args, **kwargs):
        return straight(module(x, multiplier), *args, **kwargs)

    layer.forward = forward
    try:
        yield
    finally:
        if own is None:
            del layer.forward
        else:
            layer.forward = own
