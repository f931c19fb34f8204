"""Embeddings that travel in a picture, as the WebUI's previews do: in a text chunk, or in the pixels beside it.

In the pixels: the low four bits of a strip on the left and of one on the right, each parted from the picture by a black
column, hold the low and the high half of every byte of zlib-compressed JSON, both xored with a fixed sequence.
"""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lib_sdtune.errors import UserError

CHUNK = "sd-ti-embedding"
MAX_BYTES = 1 << 24  # bytes of JSON: 75 vectors of SDXL take three million, and Python's lists many times as much
MAX_PIXELS = 1 << 24


def read(path: Path) -> dict[str, Any]:
    """The embedding's dict; UserError for a picture without one."""
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError("too large to be a preview")
            chunk = getattr(picture, "text", {}).get(CHUNK)
            if chunk:
                return from_json(base64.b64decode(chunk[: 2 * MAX_BYTES]))
            return from_json(hidden(np.asarray(picture.convert("RGB"))))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, zlib.error,
            Image.DecompressionBombError) as error:
        raise UserError(f"{path.name} is a picture without an embedding in it.") from error


def from_json(text: str | bytes) -> dict[str, Any]:
    """The dict as the WebUI writes it: a tensor is {"TORCHTENSOR": nested lists}."""
    def tensor_of(entry: dict[str, Any]) -> Any:
        return torch.tensor(entry["TORCHTENSOR"], dtype=torch.float32) if "TORCHTENSOR" in entry else entry

    data = json.loads(text, object_hook=tensor_of)
    if not isinstance(data, dict):
        raise ValueError("no dict")
    return data


def hidden(pixels: np.ndarray) -> bytes:
    """The JSON text in pixels (h, w, 3) uint8; ValueError or zlib.error if there is none."""
    bits = without_black_border(pixels) & 0x0F
    black = np.flatnonzero(bits.sum(axis=(0, 2)) == 0)
    if len(black) < 2:
        raise ValueError("no black columns")
    low, high = bits[:, : black[0]], bits[:, black[-1] + 1:]
    if low.shape != high.shape or not low.size:
        raise ValueError("strips of different sizes")
    data = unmask(high) << 4 | unmask(low)
    return inflated(data.tobytes())


def inflated(data: bytes) -> bytes:
    """The text that was compressed; ValueError where it is longer than any embedding's."""
    decompressor = zlib.decompressobj()
    text = decompressor.decompress(data, MAX_BYTES)
    if decompressor.unconsumed_tail:
        raise ValueError("too long to be an embedding")
    return text


def without_black_border(pixels: np.ndarray) -> np.ndarray:
    lit = (pixels > 0).all(axis=2)
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if not len(rows):
        raise ValueError("black")
    return pixels[rows[0]: rows[-1] + 1, columns[0]: columns[-1] + 1]


def unmask(block: np.ndarray) -> np.ndarray:
    """Flat bytes of a strip, each in 0..15, without the sequence: a linear congruential generator from 0 (Numerical
    Recipes').
    """
    factor, addend, length = 1664525, 1013904223, 1
    states = np.full(block.size, addend, np.uint32)
    while length < block.size:  # so many steps on at once, twice as many each time
        more = states[: block.size - length][:length]
        states[length : 2 * length] = more * np.uint32(factor) + np.uint32(addend)
        factor, addend, length = factor * factor % 2**32, addend * (factor + 1) % 2**32, 2 * length
    return block.reshape(-1) ^ (states % 255 & 0x0F).astype(np.uint8)
