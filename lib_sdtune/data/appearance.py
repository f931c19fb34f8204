"""What a picture looks like, in a few numbers: enough to find duplicates and blurred shots among thousands."""

from typing import NamedTuple

import numpy as np
from PIL import Image

SHARP_SIDE = 512  # pixels: what is blurred at this size is blurred in training
BLURRED = 0.16  # sharpness below this is that of a blur of some 2 pixels in 512
SAME_BITS = 10  # of 128: copies that were scaled or compressed differ in fewer
SAME_COLOUR = 12.0  # of 255, mean over 4 x 4 fields
BLOCK = 256  # pictures compared with all others at a time


class Appearance(NamedTuple):
    """bits: (128,) bool, a perceptual hash. colours: (48,) uint8, a picture of 4 x 4 pixels. sharpness: see there."""

    bits: np.ndarray
    colours: np.ndarray
    sharpness: float


def appearance_of(image: Image.Image) -> Appearance:
    """`Appearance` of an RGB image.

    The hash says for 8 x 8 fields whether it gets brighter to the right, and downwards ("dHash").
    """
    small = image.resize((72, 72), Image.Resampling.BOX, reducing_gap=2.0)
    grey = small.convert("L")
    across = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), np.int16)
    down = np.asarray(grey.resize((8, 9), Image.Resampling.BOX), np.int16)
    bits = np.concatenate([(np.diff(across, axis=1) > 0).ravel(), (np.diff(down, axis=0) > 0).ravel()])
    colours = np.asarray(small.resize((4, 4), Image.Resampling.BOX)).ravel()
    return Appearance(bits, colours, sharpness(image))


def sharpness(image: Image.Image) -> float:
    """How steep the strongest edges are, whatever their contrast: what a blur of 1 pixel takes of what one of 5 takes.

    About 0.3 and more for sharp pictures, 0.1 for blurred ones, 1 where there are no edges to judge by.
    """
    grey = image.convert("L")
    grey.thumbnail((SHARP_SIDE, SHARP_SIDE), Image.Resampling.BOX)
    values = np.asarray(grey, np.int32)
    wide_change = blur_change(values, 5)
    edges = np.flatnonzero(wide_change >= max(4, steep(wide_change)))
    if not len(edges):
        return 1.0
    down, across = np.divmod(edges, values.shape[1])
    around = np.pad(values, 1, mode="edge")
    blurred = sum(around[down + row, across + column] for row in range(3) for column in range(3)) / 9
    return float(np.abs(values[down, across] - blurred).mean() / wide_change[down, across].mean())


def steep(changes: np.ndarray) -> float:
    """What about one pixel in a hundred exceeds, estimated from every fourth row."""
    sample = changes[::4].ravel()
    return np.partition(sample, -(sample.size // 100 + 1))[-(sample.size // 100 + 1)]


def blur_change(values: np.ndarray, radius: int) -> np.ndarray:
    """What a box blur of `radius` pixels changes, (h, w) float32 in 0..255; Pillow's rounds. values: int32."""
    width = 2 * radius + 1
    padded = np.pad(values, ((radius + 1, radius), (radius + 1, radius)), mode="edge")
    sums = np.cumsum(np.cumsum(padded, axis=0, dtype=np.int32), axis=1, dtype=np.int32)
    boxes = sums[width:, width:] - sums[:-width, width:] - sums[width:, :-width] + sums[:-width, :-width]
    return np.abs(values - boxes.astype(np.float32) / width**2)


def duplicates(appearances: list[Appearance]) -> list[tuple[int, int]]:
    """[(later, earlier)]: each picture that looks like an earlier one, with the first such.

    Cost grows with the square, but 10,000 pictures take seconds: the comparison is a product of matrices.
    """
    if not appearances:
        return []
    signs = np.stack([appearance.bits for appearance in appearances]).astype(np.float32) * 2 - 1
    colours = np.stack([appearance.colours for appearance in appearances]).astype(np.int16)
    pairs = []
    for start in range(0, len(appearances), BLOCK):
        alike = signs[start : start + BLOCK] @ signs.T >= signs.shape[1] - 2 * SAME_BITS
        for later, row in enumerate(alike, start):
            earlier = np.flatnonzero(row[:later])
            earlier = earlier[np.abs(colours[earlier] - colours[later]).mean(1) < SAME_COLOUR]
            pairs += [(later, int(earlier[0]))] if len(earlier) else []
    return pairs
