"""Safetensors files, written so that the same content always gives the same bytes.

The format is a little-endian 64-bit length, a JSON header, and the raw tensors
(https://github.com/huggingface/safetensors#format). The library's writer orders metadata by a random hash; this one
sorts, streams one tensor at a time, and refuses values that are not finite.
"""

import json
import struct

import torch

from lib_sdtune.errors import RunError
from lib_sdtune.formats.files import atomic

NAMES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
         torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}
PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16, "float": torch.float32}


def write(path, tensors, metadata=None, finite=True, precision=None):
    """Write name -> tensor atomically, with `metadata` (str -> str), one tensor at a time.

    precision: a dtype for all floating tensors instead of their own. RunError if a value is not finite, unless told otherwise.
    """
    formats = {name: precision if precision and tensor.is_floating_point() else tensor.dtype for name, tensor in tensors.items()}
    # widest element first keeps every tensor aligned to its own size
    names = sorted(tensors, key=lambda name: (-formats[name].itemsize, name))
    header = json.dumps(describe(tensors, names, formats, metadata), separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    with atomic(path) as unfinished, open(unfinished, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for name in names:
            tensor = tensors[name].detach().to(formats[name])
            if finite:
                refuse_non_finite({name: tensor}, path)
            file.write(raw(tensor))


def describe(tensors, names, formats, metadata):
    header = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    start = 0
    for name in names:
        tensor = tensors[name]
        end = start + tensor.numel() * formats[name].itemsize
        header[name] = {"dtype": NAMES[formats[name]], "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    return header


def raw(tensor):
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy()) if flat.numel() else b""


def refuse_non_finite(tensors, path):
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise RunError(f"{name} holds values that are not numbers, so {path.name} was not written. "
                           "Lower the learning rate and resume from the last state.")


def read(path):
    """(name -> tensor, metadata) of a file written by us; foreign files go through `ldm.checkpoint`."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
