"""What a training has changed in a whole model, as a LoRA: the best approximation of each layer's difference of a
given rank.
"""

from collections.abc import Iterable

import torch

from lib_sdtune.randomness import mix


@torch.no_grad()
def extract(pairs: Iterable[tuple[str, torch.Tensor, torch.Tensor]], dim: int) -> dict[str, torch.Tensor]:
    """name -> tensor under kohya's names, from (key, trained weight, original weight) of layers; alpha is dim, so
    nothing is scaled.

    Truncated singular value decomposition (Eckart & Young 1936), found at random but repeatably (Halko et al. 2009,
    arXiv 0909.4061). The square roots of the singular values go to both sides.
    """
    tensors = {}
    for key, trained, original in pairs:
        up, down = halves(trained.float() - original.float().to(trained.device), dim, key)
        tensors |= {
            f"{key}.lora_up.weight": up,
            f"{key}.lora_down.weight": down,
            f"{key}.alpha": torch.tensor(float(down.shape[0])),
        }
    return tensors


def halves(difference: torch.Tensor, dim: int, key: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(up, down) of one layer: (out, r) and (r, in), or (out, r, 1, 1) and (r, in, h, w) of a convolution."""
    matrix = difference.flatten(1)
    rank = min(dim, *matrix.shape)
    with torch.random.fork_rng(devices=[matrix.device] if matrix.is_cuda else []):
        torch.manual_seed(mix(0, "extract", key))
        left, values, right = torch.svd_lowrank(matrix, q=min(rank + 8, *matrix.shape), niter=4)
    root = values[:rank].sqrt()
    up, down = left[:, :rank] * root, (right[:, :rank] * root).T
    if difference.ndim == 4:
        return up[:, :, None, None].contiguous(), down.reshape(rank, *difference.shape[1:]).contiguous()
    return up.contiguous(), down.contiguous()
