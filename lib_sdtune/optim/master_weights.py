"""What an optimizer moves, and the weight of the model that follows it.

Optimizers want float32: an update of 1e-7 is lost on a half-precision weight. So a half-precision weight is moved by a
float32 copy, or is rounded at random (https://arxiv.org/abs/2010.06192), which keeps small updates on average and no
copy.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import nn

from lib_sdtune import devices
from lib_sdtune.devices import HALVES
from lib_sdtune.optim import foreach
from lib_sdtune.optim.half_copies import aligned
from lib_sdtune.randomness import mix

Factor = float | torch.Tensor


class TrainedWeight:
    """`weight` is the model's own parameter, where gradients arrive; `value` is what the optimizer sees, float32.

    lives_in_model: whether the trained values go when the weight is given other ones.
    The functions that take many are called on any of them, with some of the same class: few kernels for all.
    """

    lives_in_model = True
    gradient_bytes = 4  # a value's gradient at the moment of its step, and float32 copies of the weight for that moment

    def __init__(self, weight: torch.Tensor) -> None:
        self.weight, self.value = weight, weight

    @staticmethod
    def prepare_gradients(trained_weights: Sequence[Any], factor: Factor = 1) -> None:
        """The gradients that arrived, times `factor`, are where the optimizer looks for them."""
        present = [trained for trained in trained_weights if trained.weight.grad is not None]
        for trained in present:
            trained.weight.grad = laid_out_as(trained.weight.grad, trained.weight)
        multiply([trained.weight.grad for trained in present], factor)

    @staticmethod
    def update_models(trained_weights: Sequence[Any], *seed: Any) -> None:
        """After the optimizer's step: the model's weights follow. `seed`: the run's seed and numbers for those who
        round.
        """

    def drop_gradient(self) -> None:
        """Drop the gradient."""
        self.weight.grad = None

    def release(self) -> None:
        """Free what training holds beside the weight; nothing can be stepped afterwards."""
        self.drop_gradient()

    def move(self, device: torch.device | str) -> None:
        """What training holds beside the weight goes to `device` for a while."""

    def full_precision(self) -> torch.Tensor:
        """The trained values as precisely as they are known."""
        return self.weight.detach()

    @torch.no_grad()
    def load_values(self, values: torch.Tensor) -> None:
        """Go on from these values."""
        self.weight.copy_(values)


class MasterCopy(TrainedWeight):
    """A half-precision weight that follows a float32 copy."""

    lives_in_model = False
    gradient_bytes = 2 + 4

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__(weight)
        self.value = nn.Parameter(torch.empty(0, device=weight.device))

    @staticmethod
    @torch.no_grad()
    def prepare_gradients(trained_weights: Sequence[Any], factor: Factor = 1) -> None:
        present = [trained for trained in trained_weights if trained.weight.grad is not None]
        widen_gradients(present, [torch.empty_like(trained.value) for trained in present])
        multiply([trained.value.grad for trained in present], factor)

    @staticmethod
    @torch.no_grad()
    def update_models(trained_weights: Sequence[Any], *seed: Any) -> None:
        foreach.copy_(
            [trained.weight for trained in trained_weights], [trained.value for trained in trained_weights]
        )

    def drop_gradient(self) -> None:
        self.weight.grad = self.value.grad = None

    def full_precision(self) -> torch.Tensor:
        return self.value.detach()

    def release(self) -> None:
        super().release()
        self.value.data = self.value.data.new_empty(0)

    def move(self, device: torch.device | str) -> None:
        self.value.data = self.value.data.to(device)

    @torch.no_grad()
    def load_values(self, values: torch.Tensor) -> None:
        self.value.data = torch.empty_like(self.weight, dtype=torch.float32).copy_(values)
        self.weight.copy_(self.value)


class StochasticRounding(TrainedWeight):
    """A bfloat16 weight that is float32 for the moment of its own step, in one piece of memory with those beside it."""

    gradient_bytes = 2 + 4 + 4

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__(weight)
        self.value = nn.Parameter(torch.empty(0, device=weight.device))
        self.piece: torch.Tensor | None = None

    @staticmethod
    @torch.no_grad()
    def prepare_gradients(trained_weights: Sequence[Any], factor: Factor = 1) -> None:
        present = [trained for trained in trained_weights if trained.weight.grad is not None]
        if not present:
            return
        weights = [trained.weight for trained in present]
        piece = torch.empty(length(weights), dtype=torch.float32, device=weights[0].device)
        values = views(piece, weights)
        foreach.copy_(values, weights)
        for trained, value in zip(present, values, strict=True):
            trained.value.data, trained.piece = value, piece
        widen_gradients(present, [torch.empty_like(value) for value in values])
        multiply([trained.value.grad for trained in present], factor)

    @staticmethod
    @torch.no_grad()
    def update_models(trained_weights: Sequence[Any], *seed: Any) -> None:
        present = [trained for trained in trained_weights if trained.value.grad is not None]
        if not present:
            return
        weights, piece = [trained.weight.data for trained in present], present[0].piece
        for trained, view in zip(present, views(piece, weights), strict=True):
            trained.value.grad = None  # makes room for the dice
            if trained.value.data_ptr() != view.data_ptr():  # bitsandbytes steps a contiguous copy of what is not
                view.copy_(trained.value)
        foreach.copy_(weights, views(rounded_float32(piece, *seed), weights))

    def drop_gradient(self) -> None:
        self.weight.grad = self.value.grad = self.piece = None
        self.value.data = torch.empty(0, device=self.weight.device)


def multiply(gradients: list[torch.Tensor], factor: Factor) -> None:
    """In place; nothing is asked of the device where the factor is 1."""
    if gradients and (isinstance(factor, torch.Tensor) or factor != 1):
        foreach.mul_(gradients, factor)


def widen_gradients(trained_weights: Sequence[Any], gradients: list[torch.Tensor]) -> None:
    """The weights' gradients, in float32, become the values'; `gradients` is the memory for them."""
    if not trained_weights:
        return
    foreach.copy_(gradients, [laid_out_as(trained.weight.grad, trained.weight) for trained in trained_weights])
    for trained, gradient in zip(trained_weights, gradients, strict=True):
        trained.value.grad, trained.weight.grad = gradient, None


def length(weights: Sequence[torch.Tensor]) -> int:
    """How many values a piece of memory needs for these weights beside each other."""
    return sum(aligned(weight) for weight in weights)


def views(piece: torch.Tensor, weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Parts of a piece of memory with the shapes and the strides of the weights."""
    starts = accumulate((aligned(weight) for weight in weights), initial=0)
    return [
        piece.as_strided(weight.shape, weight.stride(), start) for weight, start in zip(weights, starts, strict=False)
    ]


def rounded_float32(values: torch.Tensor, *seed: Any) -> torch.Tensor:
    """float32 that bfloat16 holds: up or down by the odds of how near each is. A pure function of values and `seed`."""
    generator = torch.Generator(values.device).manual_seed(mix(*seed))
    dice = torch.randint(0, 1 << 16, values.shape, generator=generator, device=values.device, dtype=torch.int32)
    return dice.add_(values.view(torch.int32)).bitwise_and_(-(1 << 16)).view(torch.float32)


def rounded(values: torch.Tensor, *seed: Any) -> torch.Tensor:
    """As `rounded_float32`, in bfloat16."""
    return rounded_float32(values, *seed).to(torch.bfloat16)


def laid_out_as(tensor: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`tensor` with the strides of `weight`, also in dimensions of size 1.

    cuDNN hands 1x1 convolutions gradients whose strides say channels_last, and torch's fused optimizers before 2.4
    compare strides strictly. Nothing is copied where the order in memory is the same.
    """
    if tensor.stride() == weight.stride():
        return tensor
    same_order = all(
        size == 1 or stride == weight_stride
        for size, stride, weight_stride in zip(weight.shape, tensor.stride(), weight.stride(), strict=True)
    )
    if same_order:
        return tensor.as_strided(weight.shape, weight.stride())
    return torch.empty_like(weight, dtype=tensor.dtype).copy_(tensor)


def plan(setting: str, device: torch.device, dtype: torch.dtype, count: int, compute: torch.dtype | None = None
         ) -> tuple[torch.dtype, type[TrainedWeight]]:
    """(number format of the weights while they learn, the class of `TrainedWeight` for them).

    compute: the format of the forward; in float32 so are the weights.

    Full precision learns in place. Half precision becomes bfloat16 where the device computes in it, because float16
    gradients of a whole model overflow; with float32 copies if there is room for them and AdamW's two moments.
    """
    if compute == torch.float32:
        return torch.float32, TrainedWeight
    if setting == "bfloat16":
        return torch.bfloat16, StochasticRounding
    if dtype not in HALVES:
        return dtype, TrainedWeight
    half = torch.bfloat16 if devices.has_bfloat16(device) else torch.float16
    has_room = device.type != "cuda" or devices.total_memory(device) > count * (2 + 4 + 8) + 4 * 2**30
    return (
        (half, MasterCopy) if setting == "float32" or has_room or half == torch.float16 else (half, StochasticRounding)
    )
