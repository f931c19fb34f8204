"""(IA)³: one factor for every output, or input, of a layer (Liu et al. 2022, arXiv 2205.05638; LyCORIS' file names).

Convolutions learn factors of their inputs, because the WebUI's loader multiplies those of outputs along the wrong axis
there.
"""

from collections.abc import Mapping
from functools import cached_property

import torch

from lib_sdtune.networks import registry
from lib_sdtune.networks.delta import Tensors, formula
from lib_sdtune.networks.factored import FactoredAdapter


@formula("ia3", needed=({"weight", "on_input"},), of_weight=True)
def change(tensors: Tensors, weight: torch.Tensor | None) -> torch.Tensor:
    """The weight times the factors; 0 leaves it as it is."""
    return change_along(axis_of(tensors["on_input"]), weight, tensors["weight"])


def axis_of(on_input: torch.Tensor) -> int:
    """0 for factors of outputs, 1 for those of inputs. It waits for the device that the tensor is on."""
    return 1 if bool(on_input) else 0


def change_along(axis: int, weight: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    shape = [size if side == axis else 1 for side, size in enumerate(weight.shape)]
    return weight * factors.reshape(shape)


@registry.register("ia3")
class IA3(FactoredAdapter):
    """delta = W * weight, with `weight` (out) or (in) of linear layers, (1, in, 1, 1) of convolutions. It has neither
    dim nor alpha. train_on_input: linear layers learn factors of their inputs too.
    """

    options = ("train_on_input",)
    uses_alpha = has_rank = False
    fixed = ("on_input",)

    def first_values(self, shape: torch.Size, dim: int, generator: torch.Generator | None, train_on_input: bool = False
                    ) -> dict[str, torch.Tensor]:
        on_input = train_on_input or len(shape) == 4
        side = shape[1 if on_input else 0]
        kernel = [1] * (len(shape) - 2)
        factors = torch.zeros(1, side, *kernel) if kernel else torch.zeros(side)
        return {"weight": factors, "on_input": torch.tensor(float(on_input))}

    @cached_property
    def axis(self) -> int:
        """Asked of the device once, not in every forward."""
        return axis_of(self.on_input)

    def delta_weight(self) -> torch.Tensor:
        weight = self.layer[0].weight.detach().float()
        return change_along(self.axis, weight, self.weight).reshape(self.shape)

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        super().load_tensors(tensors)
        vars(self).pop("axis", None)

    def scale_delta(self, factor: torch.Tensor) -> None:
        self.weight.data.mul_(factor)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {tail: tensor.data for tail, tensor in self.factors().items()}
