"""The size of gradients, and what shortens them to `max_grad_norm`."""

from collections.abc import Sequence

import torch

from lib_sdtune.optim import foreach

EPSILON = 1e-6  # as in torch.nn.utils.clip_grad_norm_


def total_norm(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """The Euclidean norm of all gradients, a float32 tensor of no dimensions."""
    norms = foreach.norm([gradient.float() if gradient.ndim == 0 else gradient for gradient in gradients])
    by_dtype: dict[torch.dtype, list[torch.Tensor]] = {}
    for norm in norms:
        by_dtype.setdefault(norm.dtype, []).append(norm)
    stacked = [torch.stack(norms_of_dtype).float() for norms_of_dtype in by_dtype.values()]
    return torch.linalg.vector_norm(torch.cat(stacked))


def shortening(norm: torch.Tensor, limit: float, scale: float | torch.Tensor) -> torch.Tensor:
    """What gradients of that norm (known without the loss scale in it) are multiplied by, the loss scale taken out."""
    return (limit / (norm + EPSILON)).clamp(max=1) / scale
