"""What an optimiser moves, and the weight of the model that follows it.

Optimisers want float32: an update of 1e-7 is lost on a half-precision weight. So a half-precision weight is moved by a
float32 copy, or is rounded at random (https://arxiv.org/abs/2010.06192), which keeps small updates on average and no
copy.
"""

import torch
from torch import nn

from lib_sdtune import devices
from lib_sdtune.devices import HALVES
from lib_sdtune.randomness import mix


class TrainedWeight:
    """`weight` is the model's own parameter, where gradients arrive; `value` is what the optimiser sees, float32.

    lives_in_model: whether the trained values go when the weight is given other ones.
    """

    lives_in_model = True
    gradient_bytes = 4  # a value's gradient at the moment of its step, and float32 copies of the weight for that moment

    def __init__(self, weight: torch.Tensor):
        self.weight, self.value = weight, weight

    def prepare_gradient(self, factor: float) -> None:
        """The gradient that arrived, times `factor`, is where the optimiser looks for it."""
        if self.weight.grad is not None:
            self.weight.grad = laid_out_as(self.weight.grad, self.weight)
            if factor != 1:
                self.weight.grad.mul_(factor)

    def update_model(self, *seed) -> None:
        """After the optimiser's step: the model's weight follows. `seed`: the run's seed and numbers for those who
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

    def __init__(self, weight: torch.Tensor):
        super().__init__(weight)
        self.value = nn.Parameter(torch.empty(0, device=weight.device))

    def prepare_gradient(self, factor: float) -> None:
        if self.weight.grad is not None:
            self.value.grad = laid_out_as(self.weight.grad.float(), self.value).mul_(factor)
            self.weight.grad = None

    @torch.no_grad()
    def update_model(self, *seed) -> None:
        self.weight.copy_(self.value)

    def drop_gradient(self) -> None:
        self.weight.grad = self.value.grad = None

    def full_precision(self) -> torch.Tensor:
        return self.value.detach()

    def release(self) -> None:
        super().release()
        self.move("cpu")

    def move(self, device: torch.device | str) -> None:
        self.value.data = self.value.data.to(device)

    @torch.no_grad()
    def load_values(self, values: torch.Tensor) -> None:
        self.value.data = torch.empty_like(self.weight, dtype=torch.float32).copy_(values)
        self.update_model()


class StochasticRounding(TrainedWeight):
    """A bfloat16 weight that is float32 for the moment of its own step."""

    gradient_bytes = 2 + 4 + 4

    def __init__(self, weight: torch.Tensor):
        super().__init__(weight)
        self.value = nn.Parameter(torch.empty(0, device=weight.device))

    def prepare_gradient(self, factor: float) -> None:
        if self.weight.grad is not None:
            self.value.data = self.weight.detach().float()
            self.value.grad = laid_out_as(self.weight.grad.float(), self.value).mul_(factor)
            self.weight.grad = None

    def update_model(self, *seed) -> None:
        if self.value.grad is not None:
            self.weight.data.copy_(rounded(self.value.detach(), *seed))

    def drop_gradient(self) -> None:
        self.weight.grad = self.value.grad = None
        self.value.data = torch.empty(0, device=self.weight.device)


def rounded(values: torch.Tensor, *seed) -> torch.Tensor:
    """float32 as bfloat16: up or down by the odds of how near each is. A pure function of the values and `seed`."""
    generator = torch.Generator(values.device).manual_seed(mix(*seed))
    dice = torch.randint(0, 1 << 16, values.shape, generator=generator, device=values.device, dtype=torch.int32)
    return dice.add_(values.view(torch.int32)).bitwise_and_(-(1 << 16)).view(torch.float32).to(torch.bfloat16)


def laid_out_as(tensor: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`tensor` with the strides of `weight`, also in dimensions of size 1.

    cuDNN hands 1x1 convolutions gradients whose strides say channels_last, and torch's fused optimisers before 2.4
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
