"""Safetensors files, written so that the same content always gives the same bytes.

The format is a little-endian 64-bit length, a JSON header, and the raw tensors
(https://github.com/huggingface/safetensors#format). The library's writer orders metadata by a random hash; this one
sorts, streams one tensor at a time, and refuses values that are not finite.
"""

import ctypes
import hashlib
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from lib_sdtune.errors import RunError
from lib_sdtune.formats.files import atomic

NAMES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
         torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}
DTYPES = {name: dtype for dtype, name in NAMES.items()}
OLD_HASH = slice(0x100000, 0x110000)  # the bytes that the WebUI's oldest model hash looks at
PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16, "float": torch.float32}


def write(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None,
          finite: bool = True, precision: torch.dtype | None = None,
          values: Callable[[str], torch.Tensor] | None = None, durable: bool = True) -> None:
    """Write name -> tensor atomically, with `metadata` (str -> str), one tensor at a time.

    precision: a dtype for all floating tensors instead of their own. values: a function name -> tensor that is called
    when its turn comes; `tensors` then only tell the shapes and number formats. durable: see `files.atomic`. RunError
    if a value is not finite, unless told otherwise.
    """
    names, formats = arranged(tensors, precision)
    with atomic(path, durable=durable) as unfinished, open(unfinished, "wb") as file:
        file.write(head(tensors, names, formats, metadata))
        for name in names:
            tensor = (values(name) if values else tensors[name]).detach().to(formats[name])
            if finite:
                refuse_non_finite({name: tensor}, path)
            file.write(raw(tensor))


def hashes(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str],
           precision: torch.dtype | None = None) -> dict[str, str]:
    """sd-scripts' two hashes of an add-on, as metadata: of all tensors' bytes, and an old one of a piece of the file.

    The WebUI shows the first and need not read the file for it. The second is of a file with the ss_* metadata alone.
    """
    names, formats = arranged(tensors, precision)
    start = bytearray(head(tensors, names, formats,
                           {key: value for key, value in metadata.items() if key.startswith("ss_")}))
    body = sha256()
    for name in names:
        data = raw(tensors[name].detach().to(formats[name]))
        body.update(data)
        start += data[: max(0, OLD_HASH.stop - len(start))]
    return {"sshs_model_hash": body.hexdigest(), "sshs_legacy_hash": sha256(start[OLD_HASH]).hexdigest()[:8]}


def arranged(tensors: Mapping[str, torch.Tensor],
             precision: torch.dtype | None) -> tuple[list[str], dict[str, torch.dtype]]:
    """(names in the file's order, name -> dtype in the file)."""
    formats = {name: precision if precision and tensor.is_floating_point() else tensor.dtype
               for name, tensor in tensors.items()}
    # widest element first keeps every tensor aligned to its own size
    return sorted(tensors, key=lambda name: (-formats[name].itemsize, name)), formats


def head(tensors: Mapping[str, torch.Tensor], names: Sequence[str], formats: Mapping[str, torch.dtype],
         metadata: Mapping[str, str] | None) -> bytes:
    """Everything before the tensors."""
    header = json.dumps(describe(tensors, names, formats, metadata), separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header


def describe(tensors: Mapping[str, torch.Tensor], names: Sequence[str], formats: Mapping[str, torch.dtype],
             metadata: Mapping[str, str] | None) -> dict[str, Any]:
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    start = 0
    for name in names:
        tensor = tensors[name]
        end = start + tensor.numel() * formats[name].itemsize
        header[name] = {"dtype": NAMES[formats[name]], "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    return header


def raw(tensor: torch.Tensor) -> bytes | memoryview:
    """A view of the bytes. Not by way of numpy: a tensor that numpy has seen can never free its memory by resizing."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    if not flat.numel():
        return b""
    memory: Any = (ctypes.c_ubyte * flat.nbytes).from_address(flat.data_ptr())
    memory.tensor = flat  # lives as long as the view
    return memoryview(memory).cast("B")


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """A hash of all names, dtypes, shapes and bytes."""
    total = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(raw(tensor))
    return total.hexdigest()


def refuse_non_finite(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """RunError for a tensor with values that are not numbers, or that were too large for the file's number format."""
    for name, tensor in tensors.items():
        if is_finite(tensor):
            continue
        if tensor.dtype == torch.float16 and tensor.isinf().any() and not tensor.isnan().any():
            raise RunError(
                f"{name} holds values above {torch.finfo(tensor.dtype).max:.0f}, which fp16 files cannot hold, so "
                f'{path.name} was not written. Set "save.precision" to "bf16" or "float", and resume.'
            )
        raise RunError(f"{name} holds values that are not numbers, so {path.name} was not written. "
                       "Lower the learning rate and resume from the last state.")


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether every value is a number.

    One term that is not makes a sum that is not, so that a sum answers for nearly all tensors, in a tenth of the time;
    terms that are too large together are looked at one by one.
    """
    return not tensor.is_floating_point() or math.isfinite(tensor.sum()) or bool(tensor.isfinite().all())


class Stored(Mapping):
    """name -> tensor over a file written by us; each tensor is read when it is asked for, into memory of its own.

    prefix: only the names that begin with it, without it.
    """

    def __init__(self, path: Path, prefix: str = "") -> None:
        self.path, self.prefix = path, prefix
        with open(path, "rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(length))
        self.start, self.metadata = 8 + length, header.pop("__metadata__", {})
        self.entries = {name.removeprefix(prefix): entry for name, entry in header.items() if name.startswith(prefix)}

    def __getitem__(self, name: str) -> torch.Tensor:
        first, end = self.entries[name]["data_offsets"]
        tensor = torch.empty(self.entries[name]["shape"], dtype=DTYPES[self.entries[name]["dtype"]])
        if end > first:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(self.start + first)
                fill(raw(tensor), file)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def fill(memory: bytes | memoryview, file: Any) -> None:
    """Read until `memory` is full; one call gives at most 2 GB."""
    while memory:
        count = file.readinto(memory)
        if not count:
            raise RunError(f"{file.name} is cut short.")
        memory = memory[count:]


def read(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """(name -> tensor, metadata) of a file written by us; foreign files go through `ldm.checkpoint`."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
