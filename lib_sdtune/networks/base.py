"""A network decides how one layer is adapted: y = layer(x) + delta(x). It knows neither method nor family."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lib_sdtune import devices
from lib_sdtune.networks.dropout import Dropouts

Layer = nn.Linear | nn.Conv2d
Tensors = Mapping[str, torch.Tensor]


class Adapter(nn.Module):
    """The trainable delta of one layer; subclasses are the networks.

    An adapter starts at zero: the adapted layer equals the bare one. Parameters are float32 whatever the layer holds.
    `options` names the further arguments that it can be made with, which are settings of the same names.
    """

    name: str  # as it is registered
    options: tuple[str, ...] = ()
    uses_alpha = True  # whether alpha is how strong it is
    alpha_has_no_effect = ""  # where it uses alpha, why that may change nothing, as part of a sentence
    has_rank = True  # whether dim is a number that it has
    has_up_part = False  # whether `up_part` is one, which LoRA+ has a rate for
    supports_network_dropout = False  # whether there are values between two halves that can be left out
    network_module = "lycoris.kohya"  # sd-scripts' name of the module that trains it
    webui_adapts_fused_attention = True  # whether the WebUI can draw with it where it adapts an nn.MultiheadAttention
    can_be_recorded = True  # whether a CUDA graph can hold its kernels
    bytes_to_make = 0  # for each number of a weight, while what is added to it is made in the backward pass
    dropouts = Dropouts()
    copies: tuple[torch.Tensor, ...] | None = None
    """Those of `copied_parts`, or None."""

    def __init__(self, layer: Layer, dim: int, alpha: float, generator: torch.Generator | None = None) -> None:
        """`dim` is the rank; strength is alpha / dim; `generator` draws the first values (CPU)."""
        super().__init__()
        self.dim, self.alpha, self.scale = dim, float(alpha), alpha / dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """delta(x), in the shape and dtype of layer(x)."""
        raise NotImplementedError

    def prepare_input(self, x: torch.Tensor) -> torch.Tensor:
        """What the layer and the adapter both read; some cast it once for the two."""
        return x

    def add_to(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """layer(x), which is `y`, plus delta(x)."""
        return y + self.dropouts.added(self(x))

    def delta_weight(self) -> torch.Tensor:
        """The same as one tensor in the shape of `layer.weight`, float32."""
        raise NotImplementedError

    @property
    def up_part(self) -> nn.Parameter | None:
        """What maps back to the layer's width and starts at zero, where there is such a part."""
        return None

    @torch.no_grad()
    def limit_norm(self, most: float) -> None:
        """Shorten the change of the weight to the length `most` where it is longer (sd-scripts' scale_weight_norms)."""
        norm = torch.linalg.vector_norm(self.delta_weight()).clamp(min=most / 2)
        self.scale_delta(norm.clamp(max=most) / norm)

    @classmethod
    def can_be_shortened(cls) -> bool:
        """Whether it has a `limit_norm`."""
        return cls.scale_delta is not Adapter.scale_delta or cls.limit_norm is not Adapter.limit_norm

    def scale_delta(self, factor: torch.Tensor) -> None:
        """Multiply the change of the weight by a number, in the parameters."""
        raise NotImplementedError

    def copied_parts(self) -> list[tuple[nn.Parameter, float]]:
        """(parameter, what a copy of it is multiplied by) of each that a forward in half precision can read from
        `copies` (see `optim.half_copies`); [] where it reads none.
        """
        return []

    @classmethod
    def metadata_arguments(cls) -> dict[str, Any]:
        """What ss_network_args say of the kind of network, under LyCORIS' names."""
        return {"algo": cls.name}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Tail -> tensor, as the readers of the file want them ("lora_down.weight", "alpha", ...)."""
        raise NotImplementedError

    def load_tensors(self, tensors: Tensors) -> None:
        """Take over what `tensors` gave."""
        raise NotImplementedError

    @staticmethod
    def reads(tensors: Tensors) -> bool:
        """Whether tensors with these tails (tail -> tensor) are of this network."""
        raise NotImplementedError

    @classmethod
    def dim_of(cls, tensors: Tensors) -> int:
        """The dim that these tensors were made with."""
        raise NotImplementedError

    @classmethod
    def count(cls, shape: tuple[int, ...], dim: int, **options: Any) -> int:
        """How many numbers learn beside a weight of that shape. UserError where it cannot have that dim."""
        with torch.device("meta"):  # where nothing is drawn, so that others find the random numbers that they expect
            layer = nn.Linear(shape[1], shape[0]) if len(shape) == 2 else nn.Conv2d(shape[1], shape[0], shape[-1])
            return sum(parameter.numel() for parameter in cls(layer, dim, 1.0, **options).parameters())

    @classmethod
    def options_of(cls, tensors: Tensors) -> dict:
        """The further arguments that these tensors were made with."""
        return {}

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: Tensors) -> "Adapter":
        """An adapter like the one that gave these tensors: its dim, alpha and values. RuntimeError where sizes
        differ.
        """
        dim = cls.dim_of(tensors)
        adapter = cls(layer, dim, float(tensors.get("alpha", dim)), **cls.options_of(tensors))
        adapter.load_tensors(tensors)
        return adapter


class WeightAdapter(Adapter):
    """An adapter that is computed as a weight: delta(x) is the layer's operation with `delta_weight()` and no bias."""

    bytes_to_make = 12  # counted on an nn.Linear, of the change and the two or three tensors that it is made of

    def __init__(self, layer: Layer, dim: int, alpha: float, generator: torch.Generator | None = None) -> None:
        super().__init__(layer, dim, alpha, generator)
        self.shape = layer.weight.shape  # (out, in) or (out, in, k, k)
        self.convolution = convolution_of(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The weight, and what it is made of, is made again in the backward pass, where a device can: all layers'
        weights would take more memory than everything else that a step keeps.
        """
        rows = self.dropouts.rows(self.shape, x.device)  # drawn here, because chance may differ when it is made again
        if torch.is_grad_enabled() and devices.can_recompute(x.device):
            return checkpoint(self.answer, x, rows, use_reentrant=False, preserve_rng_state=False)
        return self.answer(x, rows)

    def answer(self, x: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
        """delta(x) with the outputs in `rows` alone, a mask of ones and zeros; None: all of them."""
        weight = self.delta_weight()
        weight = (weight if rows is None else weight * rows).to(x.dtype)
        return F.linear(x, weight) if self.convolution is None else F.conv2d(x, weight, **self.convolution)


def convolution_of(layer: Layer) -> dict | None:
    """The arguments with which `conv2d` moves like the layer; None for a linear one."""
    if layer.weight.ndim != 4:
        return None
    return {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}


def spatial(shape: Sequence[int]) -> bool:
    """Whether a weight of that shape is a convolution's with a kernel larger than 1x1."""
    return len(shape) == 4 and shape[-1] > 1


def uniform(shape: tuple, fan_in: int, generator: torch.Generator | None) -> torch.Tensor:
    """Drawn uniformly within 1 / sqrt(fan_in), the usual start of a linear layer."""
    bound = fan_in**-0.5
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def normal(shape: tuple, std: float, generator: torch.Generator | None) -> torch.Tensor:
    """Drawn normally around 0."""
    return torch.randn(shape, generator=generator) * std


def uniform_parameter(shape: tuple, fan_in: int, layer: Layer, generator: torch.Generator | None) -> nn.Parameter:
    """`uniform`, on the layer's device."""
    return nn.Parameter(uniform(shape, fan_in, generator).to(layer.weight.device))


def zero_parameter(shape: tuple, layer: Layer) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape, device=layer.weight.device))


@contextmanager
def applied(pairs: Iterable[tuple[Layer, nn.Module]], multiplier: float = 1.0) -> Iterator[None]:
    """Let each (layer, adapter) answer layer(x) + adapter(x) * multiplier; on exit the layers are bare again."""

    def adapted(adapter: Any) -> Callable[[Callable], Callable]:
        def wrap(forward: Callable) -> Callable:
            def answer(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
                if multiplier != 1.0:
                    return forward(x, *args, **kwargs) + adapter.dropouts.added(adapter(x)) * multiplier
                x = adapter.prepare_input(x)
                return adapter.add_to(forward(x, *args, **kwargs), x)

            return answer

        return wrap

    with ExitStack() as stack:
        for layer, adapter in pairs:
            stack.enter_context(wrapped_forward(layer, adapted(adapter)))
        yield


@contextmanager
def wrapped_forward(module: nn.Module, wrap: Callable[[Callable], Callable]) -> Iterator[None]:
    """`module.forward` is wrap(forward); forward is whatever the class has at the time, because hosts exchange that."""
    instance_forward = module.__dict__.get("forward")
    module.forward = wrap(instance_forward or (lambda *args, **kwargs: type(module).forward(module, *args, **kwargs)))
    try:
        yield
    finally:
        if instance_forward is None:
            del module.forward
        else:
            module.forward = instance_forward
