"""The layers of a LoRA file as adapters on a model that is there, to go on training them or to keep them as they are.
"""

import logging
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from lib_sdtune.artefacts.lora import LoraFile
from lib_sdtune.errors import UserError
from lib_sdtune.families import registry as families
from lib_sdtune.families.base import Target
from lib_sdtune.families.layer_names import kohya_keys
from lib_sdtune.loaded_model import LoadedModel, ModelSpec
from lib_sdtune.networks import registry as networks
from lib_sdtune.networks.base import Adapter, WeightAdapter
from lib_sdtune.networks.delta import Tensors, algorithm, delta
from lib_sdtune.networks.norm import Norm, is_norm

log = logging.getLogger("sdtune")


class FixedDelta(WeightAdapter):
    """A change of a weight that does not learn."""

    def __init__(self, layer: Any, change: torch.Tensor) -> None:
        super().__init__(layer, 1, 1.0)
        self.register_buffer("change", change.to(layer.weight), persistent=False)

    def delta_weight(self) -> torch.Tensor:
        return self.change


def refuse_other_family(file: LoraFile, spec: ModelSpec) -> None:
    """UserError where a file is for another family than the model's, as far as can be told before it is loaded."""
    family = spec.family
    supported = type(family) in [cls for _, cls in families]
    if supported and file.family and families[file.family] is not type(family):
        raise UserError(f"{file.path.name} is a LoRA for {families[file.family].sd_version} and the model is "
                        f"{family.sd_version}; choose a LoRA of the model's family.")


def layers_on(model: LoadedModel, file: LoraFile, strict: bool = True) -> list[tuple[Target, Tensors]]:
    """(target, tail -> tensor) of each layer of the file, in the model's order.

    UserError if nothing fits; if only some do not fit also, or, not `strict`, a warning.
    """
    keys = kohya_keys(model)
    fitting = {keys[name]: tensors for name, tensors in file.layers.items() if name in keys}
    unknown = [name for name in file.layers if name not in keys]
    if not fitting or (unknown and strict):
        example = (unknown or ["layers"])[0]
        raise UserError(f"{file.path.name} is a LoRA for another kind of model: this one has no {example}.")
    if unknown:
        log.warning(
            "%s: %d of its layers fit nothing in this model, such as %s.", file.path.name, len(unknown), unknown[0]
        )
    if file.embeddings:
        log.warning("%s: the embedding in it (%s) is not used here.", file.path.name, next(iter(file.embeddings)))
    family = model.family
    targets = [*family.targets(model), *family.outer_targets(model), *family.norm_targets(model)]
    return [(target, fitting[target.key]) for target in targets if target.key in fitting]


def adapter(file: LoraFile, target: Target, tensors: Tensors) -> Adapter:
    """The adapter that a layer's tensors were written by, on the layer's device. UserError where no network reads
    them, or they do not fit.
    """
    network = next((network for _, network in networks if network.reads(tensors)), None)
    if network is None and not is_norm(tensors):
        raise unknown(file, target, tensors)
    try:
        built = network.from_tensors(target.layer, tensors) if network else Norm.like(target.layer, tensors)
        return built.to(target.layer.weight.device)
    except RuntimeError as error:
        raise UserError(
            f"{file.path.name} does not fit this model at {target.key}: it was made for one of other sizes."
        ) from error


def unknown(file: LoraFile, target: Target, tensors: Tensors) -> UserError:
    tails = ", ".join(sorted(tensors))
    return UserError(f"{file.path.name} adapts {target.key} in a way that is not known here ({tails}).")


@torch.no_grad()
def frozen(file: LoraFile, target: Target, tensors: Tensors) -> nn.Module:
    """An adapter that stays as it is: a LoRA's two halves, a norm's change, the finished change of anything else."""
    if set(tensors) <= {"lora_down.weight", "lora_up.weight", "alpha"} or is_norm(tensors):
        return adapter(file, target, tensors).requires_grad_(False)
    if not algorithm(tensors):
        raise unknown(file, target, tensors)
    weight = target.layer.weight
    try:
        change = delta({tail: tensor.to(weight.device) for tail, tensor in tensors.items()}, weight)
        return FixedDelta(target.layer, change)
    except UserError as error:
        raise UserError(f"{file.path.name} does not fit this model at {target.key}: {error}") from error


def adapters(model: LoadedModel, file: LoraFile, strict: bool = True) -> Iterable[tuple[Target, nn.Module]]:
    """(target, adapter that stays as it is) of each layer of the file; errors as in `layers_on`."""
    return [(target, frozen(file, target, tensors)) for target, tensors in layers_on(model, file, strict)]
