"""LoHa: the Hadamard product of two low-rank matrices (FedPara, Hyeon-Woo et al. 2022, arXiv 2108.06098; LyCORIS'
file names).
"""

import math

import torch

from lib_sdtune.networks import registry
from lib_sdtune.networks.base import normal, spatial
from lib_sdtune.networks.delta import Tensors, formula
from lib_sdtune.networks.factored import FactoredAdapter


@formula("loha", needed=({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"},), more={"hada_t1", "hada_t2"},
         rank=("hada_w1_b",))
def change(tensors: Tensors, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Two matrices, multiplied element by element."""
    return factor(tensors, 1) * factor(tensors, 2)


def factor(tensors: Tensors, number: int) -> torch.Tensor:
    """One of the two matrices."""
    a, b = tensors[f"hada_w{number}_a"], tensors[f"hada_w{number}_b"]
    core = tensors.get(f"hada_t{number}")
    return a @ b if core is None else torch.einsum("rshw,ro,si->oihw", core, a, b)


@registry.register("loha")
class LoHa(FactoredAdapter):
    """delta = (w1_a w1_b) * (w2_a w2_b) * alpha / dim, with w*_a (out, dim) and w*_b (dim, in k k).

    use_tucker: 3x3 convolutions get a core t* (dim, dim, k, k) between w*_a (dim, out) and w*_b (dim, in), FedPara's
    proposition 3. The spreads of the first values are LyCORIS'.
    """

    options = ("use_tucker",)

    def first_values(self, shape: torch.Size, dim: int, generator: torch.Generator | None, use_tucker: bool = False
                    ) -> dict[str, torch.Tensor]:
        outer, inner = shape[0], math.prod(shape[1:])
        if not (use_tucker and spatial(shape)):
            return {
                "hada_w1_a": normal((outer, dim), 0.1, generator),
                "hada_w1_b": normal((dim, inner), 1.0, generator),
                "hada_w2_a": torch.zeros(outer, dim),
                "hada_w2_b": normal((dim, inner), 1.0, generator),
            }
        return {
            "hada_t1": normal((dim, dim, *shape[2:]), 0.1, generator),
            "hada_w1_a": normal((dim, outer), 0.1, generator),
            "hada_w1_b": normal((dim, shape[1]), 1.0, generator),
            "hada_t2": normal((dim, dim, *shape[2:]), 0.1, generator),
            "hada_w2_a": torch.zeros(dim, outer),
            "hada_w2_b": normal((dim, shape[1]), 1.0, generator),
        }
