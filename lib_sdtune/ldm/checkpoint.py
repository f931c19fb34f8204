"""Checkpoint files of latent diffusion, read with care.

The format is told by the content, not by the ending: safetensors, or a zip or pickle of torch, in which no code is
ever run.
"""

import json
import pickle
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.formats import bounds, kinds, paths
from lib_sdtune.ldm import positions, unpickler

UNET, VAE, CLIP = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
SKIPPED = ("model_ema.", "callbacks.")  # the averaged twin of the UNet is not what the WebUI generates with


def read(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """(name -> tensor, metadata) of a checkpoint; the tensors lie on the disk until they are touched, where the format
    allows.

    UserError if the file is missing, damaged, something other than a checkpoint, or carries code.
    """
    tensors, metadata = read_any(path)
    refuse_others(tensors, path)
    tensors = {rename(name): tensor for name, tensor in tensors.items() if not name.startswith(SKIPPED)}
    return {name: tensor for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}, metadata


def header(path: str | Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """(name -> shape, metadata) of a checkpoint, without reading its weights where the format allows; errors as in
    `read`.
    """
    path = Path(path)
    if is_safetensors(path):
        entries = bounds.read_header(path)
        metadata = entries.pop("__metadata__", {})
        refuse_others(entries, path)
        return {rename(name): tuple(entry["shape"]) for name, entry in entries.items()}, metadata
    tensors, metadata = read(path)
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}, metadata


def position_ids(path: Path) -> list[torch.Tensor]:
    """[position ids of each of a checkpoint's CLIP encoders]; of a safetensors file nothing else is read."""
    if not is_safetensors(path):
        return [tensor for name, tensor in read(path)[0].items() if name.endswith(positions.NAME)]
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return [file.get_tensor(name) for name in file.keys() if rename(name).endswith(positions.NAME)]  # noqa: SIM118


def refuse_others(names: Iterable[object], path: str | Path) -> None:
    """UserError for the tensor names of something other than a checkpoint."""
    content = kinds.content(names)
    if content != "checkpoint":
        name = Path(path).name
        raise UserError(f"{name} is {kinds.noun(content)}, not a checkpoint; choose a model of the folder "
                        "models/Stable-diffusion." if content else
                        f"{name} is not a Stable Diffusion checkpoint; choose a model of the folder "
                        "models/Stable-diffusion.")


def is_safetensors(path: Path) -> bool:
    """Told by the content: the first letter of its JSON header stands behind eight bytes of length."""
    return paths.is_file(path) and beginning(path)[8:9] == b"{"


def beginning(path: Path) -> bytes:
    """The first 16 bytes of a file, by which formats are told apart."""
    with open(path, "rb") as file:
        return file.read(16)


def read_any(path: str | Path) -> tuple[dict[Any, Any], dict[str, str]]:
    """(name -> value, metadata) of any model file, guarded in the same way."""
    path = Path(path)
    if not paths.is_file(path):
        raise UserError(f"There is no file {path}; give the path of a .safetensors or .ckpt file.")
    head = beginning(path)
    if is_safetensors(path):
        bounds.read_header(path)
        return read_safetensors(path)
    if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
        return read_pickle(path, mmap=head[:2] == b"PK"), {}
    raise UserError(
        f"{path.name} is neither a safetensors nor a ckpt file; perhaps its download broke off or saved a web page."
    )


def read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path.name} is damaged ({error}); copy or download it again.") from error


def read_pickle(path: Path, mmap: bool) -> dict[Any, Any]:
    mmap = mmap and path.suffix != ".safetensors"  # torch would believe that ending
    bounds.refuse_zip_bomb(path)
    try:
        with open(path, "rb") as file:
            data = unpickle(str(path) if mmap else file, mmap)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path.name} holds something other than weights, perhaps code, so it was not opened; "
                        "get the model as .safetensors.") from error
    except Exception as error:  # whatever a damaged file makes the reader stumble over
        raise UserError(
            f"{path.name} is damaged or of another kind than its ending says; copy or download it again."
        ) from error
    data = data.get("state_dict", data) if isinstance(data, dict) else data
    if not isinstance(data, dict):
        raise UserError(f"{path.name} holds no named weights, so it is not a checkpoint.")
    bounds.refuse_oversized_tensors(data, path)
    return data


def unpickle(file: str | BinaryIO, mmap: bool) -> Any:
    """What torch pickled; of foreign classes only a shell. UnpicklingError where code would have to run."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError:
        if hasattr(file, "seek"):
            file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=False, pickle_module=unpickler, mmap=mmap)


def rename(name: str) -> str:
    """Early SD1 checkpoints lack one level of names in the text encoder."""
    for part in ("embeddings.", "encoder.", "final_layer_norm."):
        if name.startswith(CLIP + part):
            return CLIP + "text_model." + name.removeprefix(CLIP)
    return name


def embedded_json(metadata: Mapping[str, str], key: str) -> dict[str, dict[str, Any]]:
    """The group of settings that a file's metadata hold as JSON; {} where there is none."""
    with suppress(ValueError, RecursionError):
        data = json.loads(metadata.get(key, "{}"))
        return data if isinstance(data, dict) and all(isinstance(value, dict) for value in data.values()) else {}
    return {}
