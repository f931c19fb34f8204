"""Hypernetwork files: the WebUI's `.pt`, to the key.

Whole-number keys are context widths, each with a pair of state dicts (k, v).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.formats import lookup, pickled
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.formats.tensors import refuse_non_finite
from lib_sdtune.networks.hypernetwork import ACTIVATIONS, Hypernetwork, Structure

KIND = KINDS["hypernetworks"]
OLD_NAMES = {"linear1.": "linear.0.", "linear2.": "linear.1."}  # of files from before 2022-10-21


@dataclass
class Facts:
    """What a file says about itself besides its weights."""

    name: str = ""
    step: int = 0
    sd_checkpoint: str | None = None
    sd_checkpoint_name: str | None = None
    optional_info: str | None = None


def listed(folder: Path) -> dict[str, Path]:
    """name -> path, for `<hypernet:name:1>`."""
    return {name: path for name, path in lookup.by_name(folder, KIND.endings).items() if name != "None"}


def find(folder: Path, name: str) -> Path:
    return KIND.find(folder, name)


def write(path: Path, hypernetwork: Hypernetwork, facts: Facts, precision: torch.dtype = torch.float32) -> None:
    """Write a `Hypernetwork` as the WebUI does."""
    structure = hypernetwork.structure
    tensors = {name: tensor.to("cpu", precision) for name, tensor in hypernetwork.tensors().items()}
    refuse_non_finite(tensors, path)
    dropout = list(structure.dropout) or [0] * len(structure.layers)
    data: dict[Any, Any] = {width: tuple(half(tensors, f"{width}.{part}.") for part in "kv")
                            for width in hypernetwork.pairs}
    data |= {"step": facts.step, "name": facts.name, "layer_structure": list(structure.layers),
             "activation_func": structure.activation,
             "is_layer_norm": structure.layer_norm, "weight_initialization": structure.weight_init,
             "sd_checkpoint": facts.sd_checkpoint, "sd_checkpoint_name": facts.sd_checkpoint_name,
             "activate_output": structure.activate_output, "use_dropout": any(dropout), "dropout_structure": dropout,
             "last_layer_dropout": dropout[-2] != 0, "optional_info": facts.optional_info}
    pickled.write(path, data)


def half(tensors: Mapping[str, torch.Tensor], start: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def read(path: Path) -> tuple[Hypernetwork, Facts]:
    """(`Hypernetwork`, `Facts`) of a file, float32 on the CPU.

    UserError if it is none, or one that no program could run.
    """
    data = pickled.read(path)
    widths = sorted(key for key in data if type(key) is int) if isinstance(data, dict) else []
    if not widths:
        raise UserError(f"{path.name} is not a hypernetwork.")
    try:
        tensors, structure = tensors_of(data, widths), structure_of(data, path)
        refuse_larger_structure(widths, structure, tensors)
        hypernetwork = Hypernetwork(widths, structure)
        hypernetwork.load_tensors(tensors)
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise UserError(f"{path.name} is a hypernetwork whose weights do not fit its own layer structure, so it cannot "
                        "be used.") from error
    text = {key: str(data[key]) if data.get(key) else None
            for key in ("sd_checkpoint", "sd_checkpoint_name", "optional_info")}
    return hypernetwork, Facts(str(data.get("name") or path.stem), int(data.get("step") or 0), **text)


def structure_of(data: Mapping[Any, Any], path: Path) -> Structure:
    """Absent keys mean what they meant before they were written."""
    layers = tuple(data.get("layer_structure") or (1, 2, 1))
    activation = data.get("activation_func") or "linear"
    if activation not in ACTIVATIONS:
        raise UserError(f"{path.name} wants the activation {activation!r}, which is not one of "
                        f"{', '.join(ACTIVATIONS)}.")
    dropout = data.get("dropout_structure")
    if dropout is None:
        dropout = usual_dropout(layers, data.get("last_layer_dropout", False)) if data.get("use_dropout") else ()
    return Structure(layers, activation, bool(data.get("is_layer_norm", False)),
                     bool(data.get("activate_output", True)),
                     tuple(dropout) if any(dropout) else (), data.get("weight_initialization") or "Normal")


def refuse_larger_structure(widths: Sequence[int], structure: Structure, tensors: Mapping[str, torch.Tensor]) -> None:
    """ValueError for layers that no tensor of the file is as large as, before memory is made for them."""
    largest = max((side for tensor in tensors.values() for side in tensor.shape), default=0)
    if len(structure.layers) > len(tensors) + 1 or max(widths) * max(structure.layers) > largest:
        raise ValueError("no such layers in the file")


def usual_dropout(layers: Sequence[float], last: bool = True) -> tuple[float, ...]:
    """0.3 after every hidden layer, the WebUI's rule; `last` counts the one before the output in."""
    hidden = [0.3] * max(0, len(layers) - 2)
    if hidden and not last:
        hidden[-1] = 0
    return (0, *hidden, 0)


def tensors_of(data: Mapping[Any, Any], widths: Sequence[int]) -> dict[str, torch.Tensor]:
    tensors = {}
    for width in widths:
        for part, state in zip("kv", data[width], strict=True):
            for name, tensor in state.items():
                for old, new in OLD_NAMES.items():
                    name = new + name.removeprefix(old) if name.startswith(old) else name
                tensors[f"{width}.{part}.{name}"] = tensor.float()
    return tensors
