"""Another colour behind what a picture shows, where its background is plain."""

import random
from typing import NamedTuple

import numpy as np
from PIL import Image

DARK = 90  # of 255: the mean of its channels, below which a colour is dark
ALIKE = 24.0  # of 255: how far a plain background's pixels may lie from its colour
PLAIN = 0.8  # share of the border's pixels that must have its colour
EDGE = 2  # pixels: how wide the mixture of subject and background is where they meet
APART = 90.0  # of 255: how far a background must lie from the subject's colour to be told from it


class Other(NamedTuple):
    """Another background than a picture's own. number: which of several."""

    dark: bool
    number: int


def colour_of(pixels: np.ndarray, tolerance: float = ALIKE) -> np.ndarray | None:
    """(3,) the colour 0..255 of the background of RGB pixels (h, w, 3); None if that is not plain.

    tolerance: 0..255, how far each channel may lie from it.
    """
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.float32)
    colour = np.median(border, axis=0)
    return colour if (np.abs(border - colour).max(1) <= tolerance).mean() >= PLAIN else None


def recoloured(image: Image.Image, rng: random.Random, dark: bool) -> Image.Image:
    """The RGB image with a dark or a bright colour wherever it shows its background, in holes too; itself if that is
    not plain.
    """
    pixels = np.asarray(image, np.float32)
    background = colour_of(pixels)
    if background is None:
        return image
    away = np.linalg.norm(pixels - background, axis=2)
    if away.max() <= ALIKE:
        return image
    subject = np.median(pixels[away > ALIKE], axis=0)
    share = 1 - opacity(away)
    changed = pixels + share[..., None] * (colour_apart(subject, rng, dark) - background)
    return Image.fromarray((changed.clip(0, 255) + 0.5).astype(np.uint8))


def opacity(away: np.ndarray) -> np.ndarray:
    """(h, w) in 0..1, how much of each pixel is subject: between the two, in proportion to the subject close by.

    away: (h, w) each pixel's distance from the background's colour.
    """
    near_background = highest((away <= ALIKE).astype(np.float32)) > 0
    subject = highest(away)
    mixed = np.where(subject > ALIKE, away / np.maximum(subject, 1.0), 0.0)
    return np.where(near_background, mixed, 1.0)


def highest(values: np.ndarray) -> np.ndarray:
    """Of each pixel's neighbourhood, EDGE pixels each way."""
    for axis in (0, 1):
        padded = np.pad(values, [(EDGE, EDGE) if side == axis else (0, 0) for side in (0, 1)], mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * EDGE + 1, axis)
        values = windows.max(-1)
    return values


def colour_apart(subject: np.ndarray, rng: random.Random, dark: bool) -> np.ndarray:
    """(3,) a random dark or bright colour, that the subject's colour (3,) can be told from."""
    low, high = (0, DARK) if dark else (DARK, 255)
    most = np.linalg.norm(np.maximum(np.abs(subject - low), np.abs(subject - high)))
    while True:
        colour = np.array([rng.uniform(low, high) for _ in range(3)], np.float32)
        if np.linalg.norm(colour - subject) >= min(APART, most / 2):
            return colour
