"""A network decides how one layer is bent: y = layer(x) + delta(x). It knows neither method nor family."""

from contextlib import ExitStack, contextmanager

from torch import nn


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


@contextmanager
def bent(pairs, multiplier=1.0):
    """Bend each (layer, bend) by its instance's `forward`; on exit the layers are bare again."""
    with ExitStack() as stack:
        for layer, bend in pairs:
            stack.enter_context(bent_layer(layer, bend, multiplier))
        yield


@contextmanager
def bent_layer(layer, bend, multiplier):
    straight = layer.forward
    own = layer.__dict__.get("forward")

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
