"""OFT with blocks along the diagonal (Qiu et al. 2023, arXiv 2306.07280): LyCORIS' algo diag-oft, and kohya's
networks.oft, which has the same tensors.
"""

import torch

from lib_sdtune.networks import registry
from lib_sdtune.networks.delta import Tensors, formula
from lib_sdtune.networks.lokr import split
from lib_sdtune.networks.orthogonal import Orthogonal, constraint_of, rescaled, turns


@formula("diag-oft", needed=({"oft_blocks"},), more={"rescale"}, of_weight=True,
         axes=("oft_blocks", 3))
def change(tensors: Tensors, weight: torch.Tensor | None) -> torch.Tensor:
    """Each block of outputs turned by its block."""
    blocks = tensors["oft_blocks"]
    turned = turns(blocks, constraint_of(tensors, weight))
    parts = weight.reshape(*blocks.shape[:2], *weight.shape[1:])
    return rescaled(torch.einsum("knm,kn...->km...", turned, parts).reshape(weight.shape), weight, tensors)


@registry.register("diag-oft")
class DiagOFT(Orthogonal):
    """delta = (R - I)ᵀ W in each of `blocks` groups of outputs; `oft_blocks` (blocks, size, size)."""

    @staticmethod
    def blocks_shape(outputs: int, dim: int) -> tuple[int, ...]:
        size, blocks = split(outputs, dim)
        return blocks, size, size
