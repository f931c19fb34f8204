"""Half-precision copies of what learns, for a forward in half precision: cast in a few operations, not one by one.

A LoRA has some five hundred small tensors. To cast each of them at every use, and each of their gradients back, is a
third of a step's kernel launches. So the float32 values lie in one piece of memory, their copies in another, and the
gradients of the copies are joined before they become float32.
"""

from collections.abc import Sequence

import torch
from torch import nn

from lib_sdtune.optim import foreach

ALIGNED = 64  # values: tensors begin where tensor cores can read them


def aligned(weight: torch.Tensor) -> int:
    """The values of a tensor, up to where the next one may begin."""
    return -(-weight.numel() // ALIGNED) * ALIGNED


class HalfCopies:
    """`copies[i]` is parameters[i] * factors[i] in `dtype`, a leaf that gradients arrive at.

    The parameters (float32, on one device) stay the same objects, and their memory is one piece from then on.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], factors: Sequence[float], dtype: torch.dtype) -> None:
        self.parameters, self.factors = list(parameters), list(factors)
        order = sorted(range(len(self.parameters)), key=lambda index: self.factors[index])
        starts, self.runs, end = {}, [], 0  # runs: (factor, first value, last value + 1)
        for index in order:
            starts[index], begin = end, end
            end += aligned(self.parameters[index])
            if self.runs and self.runs[-1][0] == self.factors[index]:
                begin = self.runs.pop()[1]
            self.runs.append((self.factors[index], begin, end))
        device = self.parameters[0].device
        self.values, self.halves = (torch.zeros(end, dtype=number_format, device=device)
                                    for number_format in (torch.float32, dtype))
        self.order, self.copies = order, [self.join(index, starts[index]) for index in range(len(self.parameters))]
        self.refresh()

    @torch.no_grad()
    def join(self, index: int, start: int) -> torch.Tensor:
        """Move a parameter's values into the common memory; its copy."""
        parameter = self.parameters[index]
        place = slice(start, start + parameter.numel())
        self.values[place].view(parameter.shape).copy_(parameter)
        parameter.data = self.values[place].view(parameter.shape)
        return self.halves[place].view(parameter.shape).detach().requires_grad_(True)

    @torch.no_grad()
    def refresh(self) -> None:
        """The copies follow the parameters."""
        for factor, begin, end in self.runs:
            values = self.values[begin:end]
            self.halves[begin:end].copy_(values if factor == 1 else values * factor)

    @torch.no_grad()
    def collect_gradients(self) -> None:
        """Add the copies' gradients to the parameters', in float32, and drop them."""
        present = [index for index in self.order if self.copies[index].grad is not None]
        if not present:
            return
        grads = [self.copies[index].grad for index in present]
        sizes = [grad.numel() for grad in grads]
        flat = torch.cat([grad.reshape(-1) for grad in grads]).float()
        begin = 0
        for factor, _, _ in self.runs:
            size = sum(n for n, index in zip(sizes, present, strict=True) if self.factors[index] == factor)
            if factor != 1:
                flat[begin:begin + size].mul_(factor)
            begin += size
        new, earlier = [], []
        for index, values in zip(present, flat.split(sizes), strict=True):
            parameter, self.copies[index].grad = self.parameters[index], None
            values = values.view(parameter.shape)
            if parameter.grad is None:
                parameter.grad = values
            else:
                earlier.append(parameter.grad)
                new.append(values)
        if earlier:
            foreach.add_(earlier, new)
