"""LoKr: the Kronecker product of a small full matrix and a low-rank one (LyCORIS, Yeh et al. 2024, arXiv
2309.14859).
"""

import math

import torch

from lib_sdtune.networks import registry
from lib_sdtune.networks.base import spatial, uniform
from lib_sdtune.networks.delta import Tensors, formula
from lib_sdtune.networks.factored import FactoredAdapter
from lib_sdtune.sentences import phrase


@formula("lokr", needed=({"lokr_w1", "lokr_w2"}, {"lokr_w1", "lokr_w2_a", "lokr_w2_b"}, {"lokr_w1_a", "lokr_w1_b"}),
         more={"lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"}, rank=("lokr_w2_b", "lokr_w1_b"))
def change(tensors: Tensors, weight: torch.Tensor | None = None) -> torch.Tensor:
    """The Kronecker product of a small and a large matrix."""
    first = tensors["lokr_w1"] if "lokr_w1" in tensors else tensors["lokr_w1_a"] @ tensors["lokr_w1_b"]
    second = large(tensors)
    product = torch.kron(first, second.flatten(1))
    return product.reshape(len(product), -1, *second.shape[2:])


def large(tensors: Tensors) -> torch.Tensor:
    """The larger of the two matrices; it has the kernel."""
    if "lokr_w2" in tensors:
        return tensors["lokr_w2"]
    a, b = tensors["lokr_w2_a"], tensors["lokr_w2_b"]
    return torch.einsum("rshw,ro,si->oihw", tensors["lokr_t2"], a, b) if "lokr_t2" in tensors else a @ b


@registry.register("lokr")
class LoKr(FactoredAdapter):
    """delta = w1 x (w2_a w2_b) * alpha / dim; w2 has the kernel.

    factor: what each side of w1 is at most, -1: about the square root of the weight's. Where dim is half of w2's longer
    side or more, w2 is a full matrix, and its strength is 1 as the readers take it: LyCORIS' rule, by which its loader
    knows what to expect. use_tucker: the w2 of 3x3
    convolutions has a core t2 (dim, dim, k, k) between w2_a (dim, out) and w2_b (dim, in).
    """

    options = ("factor", "use_tucker")
    alpha_has_no_effect = phrase(
        'layers that "lora.dim" fills, which are most of them from 16 on, are as strong as they are learned')

    def first_values(self, shape: torch.Size, dim: int, generator: torch.Generator | None, factor: int = -1,
                     use_tucker: bool = False) -> dict[str, torch.Tensor]:
        (small_out, large_out), (small_in, large_in) = split(shape[0], factor), split(shape[1], factor)
        kernel = shape[2:]
        columns = large_in * math.prod(kernel)
        first = {"lokr_w1": uniform((small_out, small_in), small_in, generator)}
        if dim < max(large_out, large_in) / 2:
            if use_tucker and spatial(shape):
                return first | {
                    "lokr_t2": uniform((dim, dim, *kernel), dim * math.prod(kernel), generator),
                    "lokr_w2_a": torch.zeros(dim, large_out),
                    "lokr_w2_b": uniform((dim, large_in), large_in, generator),
                }
            second = uniform((dim, columns), columns, generator)
            return first | {"lokr_w2_a": torch.zeros(large_out, dim), "lokr_w2_b": second}
        return first | {"lokr_w2": torch.zeros(large_out, large_in, *kernel)}


def split(side: int, factor: int = -1) -> tuple[int, int]:
    """(small, large) factors of `side`: as near to each other as they can be, the smaller one `factor` or, where that
    does not divide, below it (LyCORIS' `factorization`).
    """
    if factor > 0 and side % factor == 0:
        return min(factor, side // factor), max(factor, side // factor)
    most = min(math.isqrt(side), factor if factor > 0 else side)
    small = next(divisor for divisor in range(most, 0, -1) if side % divisor == 0)
    return small, side // small
