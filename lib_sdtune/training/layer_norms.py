"""Layer norms that answer in half precision.

Autocast computes them in float32, so that every linear layer behind one casts the answer back for itself, and the
backward pass does all of it again: 16 kernels for each block of a transformer. CUDA's own kernel takes halves as they
are, and its mean, deviation and sums are float32 (`layer_norm_kernel.cu`): the answer is rounded once either way.
Group norms stay with autocast, because CUDA's kernel would round their mean and deviation, too.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from lib_sdtune.devices import autocast_dtype
from lib_sdtune.networks.base import wrapped_forward


@contextmanager
def in_half_precision(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, the layer norms of `modules` whose weights are half precision answer in that format where autocast casts
    to it. On NVIDIA's and AMD's GPUs alone.
    """
    with ExitStack() as stack:
        for module in modules:
            for layer in module.modules():
                if isinstance(layer, nn.LayerNorm) and layer.weight is not None and layer.weight.is_cuda:
                    stack.enter_context(wrapped_forward(layer, without_cast(layer)))
        yield


def without_cast(layer: nn.LayerNorm) -> Callable[[Callable], Callable]:
    """Wraps the layer's forward: autocast is off in it where all that it reads is in the format that autocast wants."""
    def wrap(forward: Callable) -> Callable:
        def answer(x: torch.Tensor) -> torch.Tensor:
            if not x.dtype == layer.weight.dtype == autocast_dtype(x.device):
                return forward(x)
            torch.set_autocast_enabled(False)  # for CUDA; a context manager would cost more than the kernels saved
            try:
                return forward(x)
            finally:
                torch.set_autocast_enabled(True)

        return answer

    return wrap
