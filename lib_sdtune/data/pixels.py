"""A picture as the encoder wants it: scaled, cropped to its bucket, mirrored, and turned into a tensor."""


import numpy as np
import torch
from einops import rearrange
from PIL import Image

from lib_sdtune.data.example import Example

GAP = 3.0  # a picture far too large is first halved, or the like, by means: it differs by less than one grey in 255


def frame(image: Image.Image, example: Example, resample: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
    """The part of the picture that the `Example` asks for: scaled, cropped to the bucket, mirrored."""
    image = cut(image, example.scaled, example.crop, example.size, resample)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if example.flip else image


def cut(image: Image.Image, scaled: tuple, crop: tuple, size: tuple,
        resample: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
    """`size` pixels from (left, top) = `crop` on of the picture scaled to `scaled`.

    Only that part is computed, so a picture of 1 x 100,000 pixels costs no more than another.
    """
    left, top = crop
    right, bottom = left + size[0], top + size[1]
    if image.size == tuple(scaled):
        return image.crop((left, top, right, bottom))
    across, down = image.width / scaled[0], image.height / scaled[1]
    part = left * across, top * down, min(right * across, image.width), min(bottom * down, image.height)
    return image.resize(size, resample, box=part, reducing_gap=GAP)


def pixels(image: Image.Image, example: Example) -> torch.Tensor:
    """(3, height, width) float32 in -1..1 of an RGB image."""
    values = np.array(frame(image, example), dtype=np.uint8)
    return rearrange(torch.from_numpy(values), "h w c -> c h w").contiguous().float() / 127.5 - 1


def mask(alpha: Image.Image | None, example: Example, downscale: int = 8) -> torch.Tensor:
    """(1, height / 8, width / 8) float32 in 0..1: how opaque each latent is.

    All ones without alpha, or if nothing is opaque.
    """
    width, height = example.size[0] // downscale, example.size[1] // downscale
    if alpha is None:
        return torch.ones(1, height, width)
    small = frame(alpha, example).resize((width, height), Image.Resampling.BOX)
    values = torch.from_numpy(np.array(small, dtype=np.float32) / 255)[None]
    return values if values.sum() > 0 else torch.ones_like(values)
