"""The LoRA of a rank that comes nearest to a change of a layer: what merging and extracting share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.lora_tools import layers, output
from lib_sdtune.lora_tools.singular_values import clamped, decompose
from lib_sdtune.networks.base import spatial
from lib_sdtune.progress import Progress

T = TypeVar("T")


@dataclass(frozen=True)
class Approximation:
    """dim: the rank; conv_dim: that of 3x3 convolutions, 0 for `dim`. clamp_quantile: the share of all values beyond
    which single large ones are cut, 1 for none.
    """

    dim: int
    conv_dim: int = 0
    clamp_quantile: float = 0.99

    def check(self, least: int = 1) -> None:
        """UserError for figures that cannot be; least: of `dim`."""
        if self.dim < least or self.conv_dim < 0 or not 0 < self.clamp_quantile <= 1:
            raise UserError(
                f"dim must be {least} or more, conv_dim 0 or more, and clamp_quantile above 0 and at most 1."
            )

    def of(self, change: torch.Tensor) -> dict[str, torch.Tensor]:
        """Tail of a name -> tensor; the alpha is the rank."""
        most = self.conv_dim if self.conv_dim and spatial(change.shape) else self.dim
        rank = min(most, *change.shape[:2])
        u, values, vh = decompose(change.flatten(1))
        up, down = clamped(u[:, :rank] * values[:rank], vh[:rank], self.clamp_quantile)
        return layers.halves(up, down, change.shape) | {"alpha": torch.tensor(float(rank))}

    def facts(self) -> dict[str, str]:
        """The network, as a file's metadata describe it."""
        arguments = {"conv_dim": str(self.conv_dim), "conv_alpha": str(float(self.conv_dim))} if self.conv_dim else None
        return output.network_facts([self.dim], [float(self.dim)], arguments)


def by_layer(layers_by_key: Mapping[str, T], tensors_of: Callable[[str, T], Mapping[str, torch.Tensor]], text: str,
             progress: Progress) -> dict[str, dict[str, torch.Tensor]]:
    """Key -> `tensors_of(key, layer)` of every layer; text: what is being done, for `progress(done, total, text)`."""
    tensors_by_key: dict[str, dict[str, torch.Tensor]] = {}
    for done, (key, layer) in enumerate(layers_by_key.items()):
        progress(done, len(layers_by_key), text)
        tensors_by_key[key] = dict(tensors_of(key, layer))
    progress(len(layers_by_key), len(layers_by_key), "writing")
    return tensors_by_key


def named(tensors_by_key: Mapping[str, Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """As they stand in the file: "key.tail" -> tensor."""
    return {f"{key}.{tail}": tensor for key, tensors in tensors_by_key.items() for tail, tensor in tensors.items()}
