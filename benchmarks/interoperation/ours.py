"""Models of the real sizes without weights, files of ours for them, and what we read in anybody's."""

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from lib_sdtune.artefacts import lora
from lib_sdtune.errors import UserError
from lib_sdtune.families import registry as families
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.ldm.openclip import OpenCLIPTextModel
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.unet import UNetModel
from lib_sdtune.lora_tools.on_model import layers_on
from lib_sdtune.networks import registry as networks
from lib_sdtune.networks.delta import delta
from lib_sdtune.networks.norm import TAILS

SIZES: dict[str, dict[str, Any]] = {
    "sd1": {},
    "sd2": {"use_linear": True, "head_channels": 64, "context_dim": 1024},
    "sdxl": {"channel_mult": (1, 2, 4), "attention_levels": (1, 2), "use_linear": True, "adm_channels": 2816,
             "transformer_depth": (0, 2, 10), "head_channels": 64, "context_dim": 2048},
}
TEXTS: dict[str, list[Any]] = {
    "sd1": [lambda: CLIPTextModel()],
    "sd2": [lambda: OpenCLIPTextModel(width=1024, layers=24, heads=16)],
    "sdxl": [lambda: CLIPTextModel(), lambda: OpenCLIPTextModel(width=1280, layers=32, heads=20, projection=1280)],
}
NORMS = "lora with norms"
DIM, ALPHA = 16, 4.0  # boft has no smaller dim for these sizes


class Model(SimpleNamespace):
    """family, unet, text_encoders; weights: key of a layer -> its weight, of one layer of every shape."""

    def __init__(self, name: str):
        with torch.device("meta"):
            super().__init__(name=name, family=families[name](), unet=UNetModel(**SIZES[name]),
                             text_encoders=[make() for make in TEXTS[name]])
        self.targets = [target for target in self.family.targets(self) if not target.unused]
        first: dict[tuple, str] = {}
        for target in self.targets:
            first.setdefault((target.part, target.kind, tuple(target.layer.weight.shape)), target.key)
        self.norms = {target.key: target for target in self.family.norm_targets(self)}
        self.shapes = {target.key: tuple(target.layer.weight.shape) for target in self.targets}
        self.weights = {key: weight(key, self.shapes[key]) for key in first.values()}


def weight(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The same numbers for the same layer on both sides."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode()))) * 0.03


def stand_in(shape: tuple[int, ...], values: torch.Tensor | None) -> nn.Module:
    """A layer of that shape; without values all of its numbers are one number in memory."""
    with torch.device("meta"):
        layer = nn.Linear(shape[1], shape[0]) if len(shape) == 2 else nn.Conv2d(shape[1], shape[0], shape[2:])
    fill(layer, values)
    return layer


def fill(layer: Any, values: torch.Tensor | None) -> None:
    """Give a layer on the meta device its values, or ones that take no memory."""
    layer.weight = nn.Parameter(torch.full((), 0.01).expand(layer.weight.shape) if values is None else values)
    if getattr(layer, "bias", None) is not None:
        layer.bias = nn.Parameter(torch.zeros(layer.bias.shape))


def fill_the_rest(part: nn.Module) -> None:
    """Ones that take no memory for what else lies on the meta device: some loaders ask a part where it is."""
    for module in part.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.is_meta:
                setattr(module, name, nn.Parameter(torch.ones(()).expand(parameter.shape)))
        for name, values in list(module.named_buffers(recurse=False)):
            if values.is_meta:
                module.register_buffer(name, torch.zeros(values.shape, dtype=values.dtype))


def write(path: Path, model: Model, network: str, convolutions: bool = True) -> dict[str, torch.Tensor]:
    """A file of ours with a value everywhere; what it changes of the layers that are compared."""
    chance = torch.Generator().manual_seed(1)
    tensors, changes = {}, {}
    for target in model.targets:
        if convolutions or target.kind == "attention":
            layer = stand_in(model.shapes[target.key], model.weights.get(target.key))
            adapter = networks["lora" if network == NORMS else network](layer, DIM, ALPHA, chance)
            for parameter in adapter.parameters():
                parameter.data += torch.randn(parameter.shape, generator=chance) * 0.05
            tensors |= {f"{target.key}.{tail}": tensor for tail, tensor in adapter.tensors().items()}
            if target.key in model.weights:
                changes[target.key] = exactly(adapter.tensors(), model.weights[target.key])
    if network == NORMS:
        for key, target in model.norms.items():
            parts = {tail: torch.randn(target.layer.weight.shape, generator=chance) * 0.05 for tail in TAILS}
            tensors |= {f"{key}.{tail}": tensor for tail, tensor in parts.items()}
            changes[key] = of_norm(parts)
    facts = {"ss_base_model_version": model.family.base_model_version, "ss_network_dim": str(DIM),
             "ss_network_alpha": str(ALPHA), "ss_v2": str(model.name == "sd2"), "ss_network_module": "lycoris.kohya"}
    safetensors.write(path, tensors, facts)
    return changes


def of_norm(tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The changes of a norm layer's weight and bias behind one another."""
    return torch.cat([tensors[tail] for tail in TAILS]).double()


def exactly(tensors: Mapping[str, torch.Tensor], weight: torch.Tensor) -> torch.Tensor:
    """The change of a weight in float64: in float32 that of a DoRA, the small difference of two weights, has their
    rounding.
    """
    return delta({tail: tensor.detach().double() for tail, tensor in tensors.items()}, weight.double())


@contextmanager
def in_float64() -> Iterator[None]:
    """What is made inside without a word about its number format is float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def read(path: Path, model: Model) -> tuple[int, tuple[str, ...], dict[str, torch.Tensor]]:
    """(layers, keys that fit nothing, key -> what is changed, of the layers that are compared)."""
    file = lora.read(path)
    try:
        layers = layers_on(model, file)
    except UserError as error:
        return 0, (str(error),), {}
    changes = {target.key: exactly(tensors, model.weights[target.key])
               for target, tensors in layers if target.key in model.weights}
    changes |= {target.key: of_norm(tensors) for target, tensors in layers if target.key in model.norms}
    return len(layers), (), changes
