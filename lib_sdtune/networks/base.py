"""A network decides how one layer is bent: y = layer(x) + delta(x). It knows neither method nor family."""

from contextlib import ExitStack, contextmanager

import torch
from torch import nn
from torch.nn import functional as F


class Bend(nn.Module):
    """The trainable delta of one layer; subclasses are the networks.

    A bend starts at zero: the bent layer equals the bare one. Parameters are float32 whatever the layer holds.
    """

    def __init__(self, layer, dim, alpha, generator=None):
        """`dim` is the rank; strength is alpha / dim; `generator` draws the first values (CPU)."""
        super().__init__()
        self.alpha, self.scale = float(alpha), alpha / dim

    def forward(self, x):
        """delta(x), in the shape and dtype of layer(x)."""
        raise NotImplementedError

    def delta_weight(self):
        """The same as one tensor in the shape of `layer.weight`, float32."""
        raise NotImplementedError

    def tensors(self):
        """Tail -> tensor, as the readers of the file want them ("lora_down.weight", "alpha", ...)."""
        raise NotImplementedError

    def load_tensors(self, tensors):
        """Take over what `tensors` gave."""
        raise NotImplementedError

    @staticmethod
    def reads(tensors):
        """Whether tensors with these tails (tail -> tensor) are of this network."""
        raise NotImplementedError

    @classmethod
    def dim_of(cls, tensors):
        """The dim that these tensors were made with."""
        raise NotImplementedError


class WeightBend(Bend):
    """A bend that is computed as a weight: delta(x) is the layer's own operation with `delta_weight()` and no bias."""

    def __init__(self, layer, dim, alpha, generator=None):
        super().__init__(layer, dim, alpha, generator)
        self.shape = layer.weight.shape  # (out, in) or (out, in, k, k)
        self.step = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation} if isinstance(layer, nn.Conv2d) else None

    def forward(self, x):
        weight = self.delta_weight().to(x.dtype)
        return F.linear(x, weight) if self.step is None else F.conv2d(x, weight, **self.step)


def drawn(shape, fan_in, layer, generator):
    """A parameter drawn uniformly within 1 / sqrt(fan_in), the usual start of a linear layer, on the layer's device."""
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator).to(layer.weight.device))


def zero(shape, layer):
    return nn.Parameter(torch.zeros(shape, device=layer.weight.device))


@contextmanager
def bent(pairs, multiplier=1.0):
    """Bend each (layer, bend) by its instance's `forward`; on exit the layers are bare again."""
    with ExitStack() as stack:
        for layer, bend in pairs:
            stack.enter_context(bent_layer(layer, bend, multiplier))
        yield


@contextmanager
def bent_layer(layer, bend, multiplier):
    own = layer.__dict__.get("forward")
    straight = own or (lambda *args, **kwargs: type(layer).forward(layer, *args, **kwargs))  # hosts exchange the class's meanwhile

    def forward(x, *args, **kwargs):
        y = straight(x, *args, **kwargs)
        return y + (bend(x) if multiplier == 1.0 else bend(x) * multiplier)

    layer.forward = forward
    try:
        yield
    finally:
        if own is None:
            del layer.forward
        else:
            layer.forward = own
