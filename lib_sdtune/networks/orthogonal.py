"""What OFT and BOFT share: square blocks that turn the outputs of a layer, so that angles between them stay (Qiu et al.
2023, arXiv 2306.07280), and how LyCORIS names and limits them.
"""

import torch

from lib_sdtune.devices import without_autocast
from lib_sdtune.networks.base import Layer
from lib_sdtune.networks.delta import FORMULAS, Tensors
from lib_sdtune.networks.factored import FactoredAdapter


def turns(blocks: torch.Tensor, constraint: float = 0.0) -> torch.Tensor:
    """R - I of each block, (…, size, size), by Cayley's transform R = (I + S)(I - S)^-1 of its skew part S.

    constraint: the length to which all S together are shortened where they are longer (COFT), 0 for any length. As
    2 S (I - S)^-1, so that small turns are not rounded against I; I - S always has an inverse.
    """
    skew = blocks - blocks.transpose(-1, -2)
    if constraint > 0:
        skew = skew * (constraint / (torch.linalg.vector_norm(skew) + 1e-8)).clamp(max=1.0)
    identity = torch.eye(skew.shape[-1], device=skew.device)
    return 2 * skew @ torch.linalg.inv_ex(identity - skew).inverse  # without asking the GPU whether it went well


def constraint_of(tensors: Tensors, weight: torch.Tensor) -> float:
    """That of a layer: its alpha, times the number of outputs."""
    return float(tensors.get("alpha", 0.0)) * len(weight)


def rescaled(change: torch.Tensor, weight: torch.Tensor, tensors: Tensors) -> torch.Tensor:
    """The change where each output of the turned weight is multiplied by its `rescale` too."""
    if "rescale" not in tensors:
        return change
    factors = tensors["rescale"].reshape(-1, *[1] * (weight.ndim - 1))
    return factors * change + (factors - 1) * weight


class Orthogonal(FactoredAdapter):
    """`oft_blocks` begin at 0, which turns nothing. In the file `alpha` is the constraint, a share of the outputs.

    dim: how large a block is at most. constraint: how far the blocks turn together. rescaled: whether every output
    also has a factor of its own, `rescale`, beginning at 1.
    """

    options = ("constraint", "rescaled")
    uses_alpha = False
    can_be_recorded = False  # it inverts matrices by cuSOLVER, which breaks a capture (pytorch/pytorch#96632)
    webui_adapts_fused_attention = False  # its network_oft.py marks such a layer as unsupported

    def __init__(self, layer: Layer, dim: int, alpha: float, generator: torch.Generator | None = None,
                 like: Tensors | None = None, constraint: float = 0.0, rescaled: bool = False) -> None:
        super().__init__(layer, dim, alpha, generator, like, rescaled=rescaled)
        self.alpha, self.scale = float((like or {}).get("alpha", constraint)), 1.0

    def first_values(self, shape: torch.Size, dim: int, generator: torch.Generator | None, rescaled: bool = False
                    ) -> dict[str, torch.Tensor]:
        blocks = {"oft_blocks": torch.zeros(self.blocks_shape(shape[0], dim))}
        return blocks | ({"rescale": torch.ones(shape[0], *[1] * (len(shape) - 1))} if rescaled else {})

    @staticmethod
    def blocks_shape(outputs: int, dim: int) -> tuple[int, ...]:
        """That of `oft_blocks`, the last two sides being a block's. UserError where no such blocks fit."""
        raise NotImplementedError

    def delta_weight(self) -> torch.Tensor:
        weight = self.layer[0].weight.detach().float()
        with without_autocast(weight.device):  # in half precision a small turn is none
            return FORMULAS[self.name].change(self.factors() | {"alpha": torch.tensor(self.alpha)}, weight)

    def limit_norm(self, most: float) -> None:
        """Shorten the blocks to the length `most` where they are longer, as LyCORIS does."""
        norm = torch.linalg.vector_norm(self.oft_blocks.data).clamp(min=most / 2)
        self.oft_blocks.data.mul_(norm.clamp(max=most) / norm)

    def load_tensors(self, tensors: Tensors) -> None:
        super().load_tensors(tensors)
        self.alpha = float(tensors.get("alpha", 0.0))

    @classmethod
    def dim_of(cls, tensors: Tensors) -> int:
        return tensors["oft_blocks"].shape[-1]
