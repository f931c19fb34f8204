"""Bounds of model files from strangers, tried before their numbers are read: a file of a few bytes must not become
gigabytes, nor a header of nonsense a traceback.
"""

import json
import struct
import zipfile
from math import prod
from pathlib import Path
from typing import Any

import torch

from lib_sdtune.errors import UserError

MAX_HEADER_BYTES = 100_000_000  # bytes; the format's own readers allow no more
SIZES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
         "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8}
SLACK = 1 << 24  # bytes that a zip may hold beyond its own length; torch compresses nothing
MAX_DEPTH = 24  # dicts and lists within each other


def read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file, complete and consistent: name -> dtype, shape, data_offsets; "__metadata__" is
    text.

    UserError where it is damaged, or the file is not as long as it says.
    """
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > min(size - 8, MAX_HEADER_BYTES):
                raise cut_short(path, size, f"more than {length + 8}")
            header = json.loads(file.read(length))
        end = check_entries(header)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise UserError(f"The header of {path.name} is damaged; copy or download the file again.") from error
    if size != (expected := 8 + length + end):
        raise cut_short(path, size, str(expected))
    return header


def check_entries(header: Any) -> int:
    """Where the last tensor ends. ValueError, or what nonsense runs into, unless every tensor has a place of its
    size.
    """
    metadata = header.get("__metadata__", {})
    if not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("metadata are text")
    end = 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        (first, last), shape = entry["data_offsets"], entry["shape"]
        if not all(type(number) is int and number >= 0 for number in (first, last, *shape)):
            raise ValueError(f"{name} has odd offsets or an odd shape")
        if last < first or entry["dtype"] in SIZES and last - first != prod(shape) * SIZES[entry["dtype"]]:
            raise ValueError(f"{name} does not fit its place")
        end = max(end, last)
    return end


def cut_short(path: Path, size: int, expected: str) -> UserError:
    return UserError(f"{path.name} is damaged: it has {size} bytes and its header speaks of {expected}. "
                     "Copy or download it again.")


def refuse_zip_bomb(path: Path) -> None:
    """UserError for a zip whose members are far larger than itself."""
    try:
        with zipfile.ZipFile(path) as members:
            size = sum(member.file_size for member in members.infolist())
    except Exception:  # no zip, or a damaged one: whoever reads it says so
        return
    if size > 2 * path.stat().st_size + SLACK:
        raise UserError(f"{path.name} would grow from {path.stat().st_size:,} to {size:,} bytes when it is opened, "
                        "which no model file does; get it from elsewhere.")


def refuse_oversized_tensors(data: Any, path: Path) -> None:
    """UserError for tensors that claim more numbers than there are bytes, and for groups without end."""
    waiting = [(data, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, torch.Tensor):
            if not has_its_numbers(value):
                raise UserError(f"{path.name} holds a tensor of {value.numel():,} numbers that are not all in the "
                                "file; get it from elsewhere.")
        elif isinstance(value, dict | list | tuple):
            if depth == MAX_DEPTH:
                raise UserError(f"{path.name} is nested more deeply than any model file; get it from elsewhere.")
            waiting += [(inner, depth + 1) for inner in (value.values() if isinstance(value, dict) else value)]


def has_its_numbers(tensor: torch.Tensor) -> bool:
    """Whether each number has bytes of its own in memory or in the mapped file."""
    if tensor.layout != torch.strided or tensor.device.type == "meta" or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
