"""BOFT: turns in several layers of small blocks, wired as a butterfly (Liu et al. 2024, arXiv 2311.06243; LyCORIS' file
names).
"""

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.networks import registry
from lib_sdtune.networks.delta import Tensors, formula
from lib_sdtune.networks.orthogonal import Orthogonal, constraint_of, rescaled, turns
from lib_sdtune.sentences import phrase


@formula("boft", needed=({"oft_blocks"},), more={"rescale"}, of_weight=True, axes=("oft_blocks", 4))
def change(tensors: Tensors, weight: torch.Tensor | None) -> torch.Tensor:
    """All outputs turned layer by layer; the further the layer, the further apart the outputs that a block turns."""
    blocks = tensors["oft_blocks"]
    half = blocks.shape[-1] // 2
    turned = torch.zeros_like(weight)
    for level, turn in enumerate(turns(blocks, constraint_of(tensors, weight))):
        turned = turned + butterfly(turn, weight + turned, half * 2**level)
    return rescaled(turned, weight, tensors)


def butterfly(turn: torch.Tensor, weight: torch.Tensor, distance: int) -> torch.Tensor:
    """One layer: outputs that lie `distance` apart come together in pairs, and `turn`, (blocks, size, size), acts on
    as many of them in turn as a block has; the result in the order of before.
    """
    paired = weight.unflatten(0, (-1, 2, distance)).transpose(1, 2).flatten(0, 2)
    result = torch.einsum("bij,bj...->bi...", turn, paired.unflatten(0, turn.shape[:2])).flatten(0, 1)
    return result.unflatten(0, (-1, distance, 2)).transpose(1, 2).flatten(0, 2)


@registry.register("boft")
class BOFT(Orthogonal):
    """`oft_blocks` (levels, blocks, size, size); size is even and blocks a power of two."""

    bytes_to_make = 53  # counted with the eleven levels of 10240 outputs: each keeps what it turned

    @staticmethod
    def blocks_shape(outputs: int, dim: int) -> tuple[int, ...]:
        sizes = [size for size in range(2, outputs + 1, 2) if outputs % size == 0 and power_of_two(outputs // size)]
        fitting = [size for size in sizes if size <= dim]
        if not fitting:
            remedy = (phrase(f'set "lora.dim" to {sizes[0]} or more') if sizes
                      else phrase('set "lora.network" to "diag-oft"'))
            raise UserError(f"BOFT cannot part {outputs} outputs into blocks of {dim}; {remedy}.")
        size = fitting[-1]
        blocks = outputs // size
        return blocks.bit_length(), blocks, size, size


def power_of_two(number: int) -> bool:
    return number & (number - 1) == 0
