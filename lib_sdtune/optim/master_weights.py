"""What an optimiser moves, and the weight of the model that follows it.

Optimisers want float32: an update of 1e-7 is lost on a half-precision weight. So a half-precision weight is moved by a
float32 copy, or is rounded at random (https://arxiv.org/abs/2010.06192), which keeps small updates on average and no copy.
"""

import torch
from torch import nn

from lib_sdtune.randomness import mix

HALVES = (torch.float16, torch.bfloat16)


class TrainedWeight:
    """`weight` is the model's own parameter, where gradients arrive; `value` is what the optimiser sees, float32.

    lives_in_model: whether the trained values go when the weight is given other ones.
    """

    lives_in_model = True

    def __init__(self, weight):
        self.weight, self.value = weight, weight

    def prepare_gradient(self, factor):
        """The gradient that arrived, times `factor`, is where the optimiser looks for it."""
        if factor != 1 and self.weight.grad is not None:
            self.weight.grad.mul_(factor)

    def update_model(self, *chance):
        """After the optimiser's step: the model's weight follows. `chance`: seed and numbers for those who round."""

    def drop_gradient(self):
        """Drop the gradient."""
        self.weight.grad = None

    def full_precision(self):
        """The trained values as precisely as they are known."""
        return self.weight.detach()

    @torch.no_grad()
    def load_values(self, values):
        """Go on from these values."""
        self.weight.copy_(values)


class MasterCopy(TrainedWeight):
    """A half-precision weight that follows a float32 copy."""

    lives_in_model = False

    def __init__(self, weight):
        super().__init__(weight)
        self.value = nn.Parameter(torch.empty(0, device=weight.device))

    def prepare_gradient(self, factor):
        if self.weight.grad is not None:
            self.value.grad = self.weight.grad.float().mul_(factor)
            self.weight.grad = None

    @torch.no_grad()
    def update_model(self, *chance):
        self.weight.copy_(self.value)

    def drop_gradient(self):
        self.weight.grad = self.value.grad = None

    def full_precision(self):
        return self.value.detach()

    def load_values(self, values):
        self.value.data = values.to(self.weight.device, torch.float32, copy=True)
        self.update_model()


class StochasticRounding(TrainedWeight):
    """A bfloat16 weight that is float32 for the moment of its own step."""

    def __init__(self, weight):
        super().__init__(weight)
        self.value = nn.Parameter(torch.empty(0, device=weight.device))

    def prepare_gradient(self, factor):
        if self.weight.grad is not None:
            self.value.data = self.weight.detach().float()
            self.value.grad = self.weight.grad.float().mul_(factor)
            self.weight.grad = None

    def update_model(self, *chance):
        if self.value.grad is not None:
            self.weight.data.copy_(rounded(self.value.detach(), *chance))

    def drop_gradient(self):
        self.weight.grad = self.value.grad = None
        self.value.data = torch.empty(0, device=self.weight.device)


def rounded(values, *chance):
    """float32 as bfloat16: up or down by the odds of how near each is. A pure function of the values and `chance`."""
    generator = torch.Generator(values.device).manual_seed(mix(*chance))
    dice = torch.randint(0, 1 << 16, values.shape, generator=generator, device=values.device, dtype=torch.int32)
    return dice.add_(values.view(torch.int32)).bitwise_and_(-(1 << 16)).view(torch.float32).to(torch.bfloat16)


def plan(setting, device, dtype, count):
    """(number format of the weights while they learn, the class of `TrainedWeight` for them).

    Full precision learns in place. Half precision becomes bfloat16 where the device computes in it, because float16
    gradients of a whole model overflow; with float32 copies if there is room for them and AdamW's two moments.
    """
    if setting == "bfloat16":
        return torch.bfloat16, StochasticRounding
    if dtype not in HALVES:
        return dtype, TrainedWeight
    half = torch.bfloat16 if device.type != "cuda" or torch.cuda.is_bf16_supported() else torch.float16
    roomy = device.type != "cuda" or torch.cuda.get_device_properties(device).total_memory > count * (2 + 4 + 8) + 4 * 2**30
    return (half, MasterCopy) if setting == "float32" or roomy or half == torch.float16 else (half, StochasticRounding)
