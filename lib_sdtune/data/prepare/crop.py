"""Which part of a picture is kept."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from lib_sdtune.data.buckets import BucketFit, Buckets, Size, slack
from lib_sdtune.data.prepare.settings import PrepareConfig
from lib_sdtune.errors import UserError
from lib_sdtune.sections.dataset import DatasetConfig

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels

SMALL = 256  # pixels: where the interest lies shows at this size
CENTRE = 1e-3  # share by which the centre is preferred, so that a plain picture is cropped there
OVERLAP = 0.2


def fit(width: int, height: int, settings: PrepareConfig) -> BucketFit:
    """`BucketFit` of a picture of that size."""
    if settings.resize == "none":
        return BucketFit((width, height), (width, height))
    if settings.resize == "multiple":
        step = settings.bucket_reso_steps
        size = max(step, width // step * step), max(step, height // step * step)
        scale = max(1, size[0] / width, size[1] / height)
        return BucketFit(size, (max(size[0], round(width * scale)), max(size[1], round(height * scale))))
    return buckets(settings).fit(width, height)


def buckets(settings: PrepareConfig) -> Buckets:
    return sizes(settings.resize == "bucket", settings.resolution, settings.min_bucket_reso, settings.max_bucket_reso,
                 settings.bucket_reso_steps, settings.bucket_no_upscale)


@lru_cache(maxsize=8)
def sizes(enabled: bool, resolution: int, shortest: int, longest: int, step: int, no_upscale: bool) -> Buckets:
    return Buckets(DatasetConfig(resolution=resolution, enable_bucket=enabled, min_bucket_reso=shortest,
                                 max_bucket_reso=longest, bucket_reso_steps=step, bucket_no_upscale=no_upscale))


def offset(image: Image.Image, fit: BucketFit, how: str) -> tuple[int, int]:
    """(left, top) of the crop in the picture scaled to `fit.scaled`."""
    free = slack(fit)
    if how == "centre" or not any(free):
        return free[0] // 2, free[1] // 2
    interest = INTEREST[how](image)
    left, top = (best(interest.sum(axis), free[axis], fit.scaled[axis]) for axis in (0, 1))
    return left, top


def best(profile: np.ndarray, free: int, length: int) -> int:
    """The offset in 0..free at which a window of `length - free` of `length` pixels holds most of the profile."""
    sums = np.concatenate([[0.0], np.cumsum(profile)])
    offsets = np.unique(np.round(np.linspace(0, free, 129)).astype(int))
    position = np.arange(len(sums)) * (length / (len(sums) - 1))
    inside = np.interp(offsets + length - free, position, sums) - np.interp(offsets, position, sums)
    return int(offsets[np.argmax(inside - CENTRE * (sums[-1] + 1) * np.abs(offsets - free / 2) / max(1, free))])


def edges(image: Image.Image) -> np.ndarray:
    """How much changes at each pixel of the reduced picture."""
    grey = reduced(image)
    across, down = np.abs(np.diff(grey, axis=1, append=grey[:, -1:])), np.abs(np.diff(grey, axis=0, append=grey[-1:]))
    return across + down


def entropy(image: Image.Image) -> np.ndarray:
    """How many different greys each field of 8 x 8 pixels of the reduced picture has, in bits."""
    grey = (reduced(image) / 16).astype(int)
    high, wide = (max(1, side // 8) for side in grey.shape)
    bits = np.zeros((high, wide))
    for row in range(high):
        for column in range(wide):
            field = grey[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
            counts = np.bincount(field.ravel(), minlength=16)
            shares = counts[counts > 0] / counts.sum()
            bits[row, column] = -(shares * np.log2(shares)).sum()
    return bits


def reduced(image: Image.Image) -> np.ndarray:
    """(h, w) float32 greys in 0..255, the long side `SMALL` pixels at most."""
    grey = image.convert("L")
    grey.thumbnail((SMALL, SMALL), Image.Resampling.BOX)
    return np.asarray(grey, np.float32)


def face(image: Image.Image) -> np.ndarray:
    """The largest face; where most is to be seen if there is none. Found by OpenCV, which the WebUI has."""
    grey = reduced(image).astype(np.uint8)
    faces = finder().detectMultiScale(grey, 1.1, 5)
    if not len(faces):
        return edges(image)
    left, top, width, height = max(faces, key=lambda box: box[2] * box[3])
    interest = np.zeros(grey.shape)
    interest[top : top + height, left : left + width] = 1
    return interest


def finder() -> Any:
    """OpenCV's detector of faces seen from the front; UserError without OpenCV.

    One for each picture: threads can't share it.
    """
    try:
        import cv2

        return cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_default.xml")
    except Exception as error:
        raise UserError('"crop" is face, which needs OpenCV (the WebUI has it); '
                        "choose edges or entropy instead.") from error


INTEREST = {"edges": edges, "entropy": entropy, "face": face}


def tiles(width: int, height: int, over: float) -> list[Box] | None:
    """Boxes of overlapping squares if one side is more than `over` times the other, else None."""
    short, long = sorted((width, height))
    if long <= over * short:
        return None
    count = math.ceil((long - short * OVERLAP) / (short * (1 - OVERLAP)))
    starts = [round(number * (long - short) / (count - 1)) for number in range(count)]
    if width > height:
        return [(start, 0, start + short, short) for start in starts]
    return [(0, start, short, start + short) for start in starts]


def drawn(box: Sequence[float | str], size: Size) -> Box:
    """A box drawn by hand as fractions (left, top, right, bottom), in pixels; UserError if it is none."""
    try:
        left, top, right, bottom = (min(1.0, max(0.0, float(edge))) for edge in box)
    except (TypeError, ValueError):
        raise UserError(f"The crop {box!r} is not four numbers from 0 to 1: left, top, right, bottom.") from None
    pixels = round(left * size[0]), round(top * size[1]), round(right * size[0]), round(bottom * size[1])
    if pixels[2] - pixels[0] < 8 or pixels[3] - pixels[1] < 8:
        raise UserError(f"The crop {box!r} is smaller than 8 pixels; draw a larger one.")
    return pixels
