"""Operations on lists of tensors in place: one launch for all where torch has kernels for lists, else one by one.

torch before 2.4 has them for the CPU and CUDA alone, and raises NotImplementedError elsewhere
(`native_functions.yaml`).
"""

from collections.abc import Callable, Sequence

import torch

Tensors = Sequence[torch.Tensor]


def has_kernels(tensors: Tensors) -> bool:
    """Whether torch has kernels for lists of tensors on the device of these."""
    version = tuple(int(number) for number in torch.__version__.split(".")[:2])
    return version >= (2, 4) or all(tensor.device.type in ("cpu", "cuda") for tensor in tensors)


def copy_(tensors: Tensors, sources: Tensors) -> None:
    in_pairs(torch._foreach_copy_, torch.Tensor.copy_, tensors, sources)


def add_(tensors: Tensors, others: Tensors) -> None:
    in_pairs(torch._foreach_add_, torch.Tensor.add_, tensors, others)


def in_pairs(together: Callable, singly: Callable, tensors: Tensors, others: Tensors) -> None:
    """Each tensor with its other: all in one launch, or one pair after the other."""
    if has_kernels(tensors):
        together(tensors, others)
        return
    for tensor, other in zip(tensors, others, strict=True):
        singly(tensor, other)


def mul_(tensors: Tensors, factor: float | torch.Tensor) -> None:
    if has_kernels(tensors):
        torch._foreach_mul_(tensors, factor)
        return
    for tensor in tensors:
        tensor.mul_(factor)


def norm(tensors: Tensors) -> list[torch.Tensor]:
    """The Euclidean norm of each; float32 of float16, which would overflow where no value does."""
    if has_kernels(tensors) and all(tensor.dtype != torch.float16 for tensor in tensors):
        return list(torch._foreach_norm(tensors))
    return [torch.linalg.vector_norm(tensor, dtype=torch.float32 if tensor.dtype == torch.float16 else None)
            for tensor in tensors]
