"""Where in a checkpoint's file the layers are that LoRA files name, told by its header alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import torch

from lib_sdtune.families.base import Family
from lib_sdtune.families.detection import detect
from lib_sdtune.families.layer_names import kohya_keys
from lib_sdtune.families.variant import Variant
from lib_sdtune.ldm import architecture, checkpoint, header
from lib_sdtune.ldm.architecture import Part
from lib_sdtune.ldm.layers import OUTER
from lib_sdtune.networks.base import spatial


@dataclass(frozen=True)
class CheckpointLayer:
    """name: of the tensor in the checkpoint; rows: which of them are the layer's. shape: the layer's own.

    key: kohya's name of the layer, "" where sd-scripts has none. kind: as `families.base.Target` has it. bias: whether
    it is a norm layer's bias, not its weight.
    """

    name: str
    shape: tuple[int, ...]
    rows: slice = field(default_factory=lambda: slice(None))
    key: str = ""
    kind: str = ""
    bias: bool = False

    def of_bias(self) -> "CheckpointLayer":
        """Where the bias of the layer is whose weight is here."""
        return replace(self, name=self.name.removesuffix("weight") + "bias", bias=True)

    @property
    def spatial(self) -> bool:
        """Whether it is a convolution with a kernel larger than 1x1."""
        return spatial(self.shape)

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The layer's weight in the checkpoint's tensor, in the layer's shape."""
        return tensor[self.rows].reshape(self.shape)


@dataclass(frozen=True)
class CheckpointLayers:
    """layers: every name of a layer in LoRA files -> its `CheckpointLayer`, those that sd-scripts trains first."""

    family: Family
    variant: Variant
    layers: dict[str, CheckpointLayer]

    def trained(self) -> list[CheckpointLayer]:
        """The layers that sd-scripts' networks adapt, in the model's order."""
        return [layer for key, layer in self.layers.items() if layer.key == key]


def read(path: Path) -> CheckpointLayers:
    """UserError for what is no checkpoint, or of no family that is known."""
    described = header.read(path)
    family, variant = detect(described)
    _, metadata = checkpoint.header(path)
    model, names = skeleton(family, described.shapes, metadata)
    layers: dict[str, CheckpointLayer] = {}
    for target in family.targets(model):
        parameter, rows = target.source
        shape = tuple(target.layer.weight.shape)
        layers[target.key] = CheckpointLayer(names[id(parameter)], shape, rows, target.key, target.kind)
    for target in [*family.outer_targets(model), *family.norm_targets(model)]:  # which sd-scripts does not adapt
        parameter, rows = target.source
        layers[target.key] = CheckpointLayer(names[id(parameter)], tuple(target.layer.weight.shape), rows)
    for name, key in kohya_keys(model).items():
        layers.setdefault(name, layers[key])
    for name, parameter, rows, shape in outside(family, model):
        layers.setdefault(name, CheckpointLayer(names[id(parameter)], shape, rows))
    return CheckpointLayers(family, variant, layers)


def skeleton(family: Family, shapes: dict, metadata: dict) -> tuple[SimpleNamespace, dict[int, str]]:
    """(the UNet and the text encoders without weights, id of a parameter -> its name in the checkpoint)."""
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    overrides = architecture.overrides(metadata)
    modules: list[torch.nn.Module] = []
    names: dict[int, str] = {}
    for part in (architecture.UNET_PART, *family.text_parts):
        module = without_weights(part, tensors, overrides.get(part.name, {}))
        names |= {id(parameter): part.prefix + name for name, parameter in module.named_parameters()}
        modules.append(module)
    unet, *text_encoders = modules
    return SimpleNamespace(unet=unet, text_encoders=text_encoders, family=family), names


def without_weights(part: Part, tensors: dict, arguments: dict) -> torch.nn.Module:
    part_tensors = {
        name.removeprefix(part.prefix): tensor for name, tensor in tensors.items() if name.startswith(part.prefix)
    }
    try:
        sizes = part.sizes(part_tensors) | arguments
    except KeyError as error:
        raise architecture.unsuitable(f"lacks {part.prefix}{error.args[0]}") from error
    with torch.device("meta"):
        return part.module(**sizes)


def outside(family: Family, model: SimpleNamespace) -> Iterator[tuple[str, torch.nn.Parameter, slice, torch.Size]]:
    """(name, parameter, rows, shape) of each further layer that LoRAs of other programs may change: those outside the
    UNet's blocks, by the checkpoint's names and by diffusers', and text layers that nobody reads.
    """
    paths = {path: diffusers for diffusers, path in OUTER.items()}
    for path, module in model.unet.named_modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
            for name in filter(None, (path.replace(".", "_"), paths.get(path))):
                yield f"lora_unet_{name}", module.weight, slice(None), tuple(module.weight.shape)
    for prefix, tower in zip(family.text_keys, family.towers(model.text_encoders), strict=True):
        for name, layer in tower.layers():
            parameter, rows = getattr(layer, "source", (layer.weight, slice(None)))
            yield f"{prefix}_{name}", parameter, rows, tuple(layer.weight.shape)
