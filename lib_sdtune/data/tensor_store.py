"""Small tensors kept on disk between runs: a file either gives back exactly what was put in, or nothing."""

import hashlib
import json
import os
import threading
from pathlib import Path

import torch
from safetensors.torch import load, save

from lib_sdtune.formats.files import replace_when_free
from lib_sdtune.formats.tensors import digest


def key(*parts: object) -> str:
    """A file name that depends on every part."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def path_of(folder: Path | str, name: str) -> Path:
    """Where the entry lies: 256 sub-folders keep folders small."""
    return Path(folder) / name[:2] / f"{name}.safetensors"


def write(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write name -> tensor. OSError if the disk is full.

    A power cut may leave a broken file, which `get` then notices; so nothing waits for the disk.
    """
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        unfinished.write_bytes(save(tensors, {"blake2b": digest(tensors)}))
        replace_when_free(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def get(path: Path) -> dict[str, torch.Tensor] | None:
    """name -> tensor, or None if there is no such file or a single bit of it is wrong."""
    try:
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        tensors = load(data)
        return tensors if header["__metadata__"]["blake2b"] == digest(tensors) else None
    except Exception:  # whatever is wrong with it, it will be made again
        return None
