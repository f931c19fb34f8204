"""(IA)³: one factor for every output, or input, of a layer (Liu et al. 2022, arXiv 2205.05638; LyCORIS' file names).

Convolutions learn factors of their inputs, because the WebUI's loader multiplies those of outputs along the wrong axis
there.
"""

import torch

from lib_sdtune.networks import registry
from lib_sdtune.networks.delta import Tensors, formula
from lib_sdtune.networks.factored import FactoredAdapter


@formula("ia3", needed=({"weight", "on_input"},), of_weight=True)
def change(tensors: Tensors, weight: torch.Tensor | None) -> torch.Tensor:
    """The weight times the factors; 0 leaves it as it is."""
    axis = 1 if bool(tensors["on_input"]) else 0
    shape = [size if side == axis else 1 for side, size in enumerate(weight.shape)]
    return weight * tensors["weight"].reshape(shape)


@registry.register("ia3")
class IA3(FactoredAdapter):
    """delta = W * weight, with `weight` (out) or (in) of linear layers, (1, in, 1, 1) of convolutions. It has neither
    dim nor alpha. train_on_input: linear layers learn factors of their inputs too.
    """

    options = ("train_on_input",)
    fixed = ("on_input",)

    def first_values(self, shape, dim, generator, train_on_input=False):
        on_input = train_on_input or len(shape) == 4
        side = shape[1 if on_input else 0]
        kernel = [1] * (len(shape) - 2)
        factors = torch.zeros(1, side, *kernel) if kernel else torch.zeros(side)
        return {"weight": factors, "on_input": torch.tensor(float(on_input))}

    def scale_delta(self, factor: torch.Tensor) -> None:
        self.weight.data.mul_(factor)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {tail: tensor.data for tail, tensor in self.factors().items()}
