"""Holes for inpainting models: what is missing of a picture, as the UNet is told, with the latents of what is left.

As latent diffusion trained its inpainting models (Rombach et al. 2022, arXiv 2112.10752, section 4.5): boxes and
strokes at random, and now and then everything. Each picture has a few, shown in turn, so that all of them can be
encoded beforehand; where it has a mask beside it, every second showing has that hole.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

import torch
from torch.nn import functional as F

from lib_sdtune import randomness
from lib_sdtune.data import masks
from lib_sdtune.data.cache import LatentCache
from lib_sdtune.data.example import Example, Mask
from lib_sdtune.data.lru_cache import Tensors
from lib_sdtune.data.picture_gone import PictureGone
from lib_sdtune.progress import Progress

HOLES = 4  # of one picture; the last of them is all of it
BOXES, STROKES = 3, 4  # at most


def hole(content: str, number: int, height: int, width: int) -> torch.Tensor:
    """(1, height, width) float32, 1 where the picture with that content is missing; sides in latents."""
    mask = torch.zeros(1, height, width)
    if number % HOLES == HOLES - 1:
        return mask + 1
    rng = randomness.rng(0, "hole", content, number)
    for _ in range(rng.randint(1, BOXES)):
        rows, columns = box(rng, height, width)
        mask[:, rows, columns] = 1
    for _ in range(rng.randint(0, STROKES)):
        stroke(mask, rng)
    return mask


def box(rng: Random, height: int, width: int) -> tuple[slice, slice]:
    """Between a tenth and a half of each side."""
    def part(side: int) -> slice:
        length = max(1, round(side * rng.uniform(0.1, 0.5)))
        start = rng.randint(0, side - length)
        return slice(start, start + length)

    return part(height), part(width)


def stroke(mask: torch.Tensor, rng: Random) -> None:
    """A line of some width between two points."""
    _, height, width = mask.shape
    ends = [(rng.uniform(0, height - 1), rng.uniform(0, width - 1)) for _ in range(2)]
    half, steps = max(height, width) // 24, 2 * max(height, width)
    for step in range(steps + 1):
        y, x = (round(a + (b - a) * step / steps) for a, b in zip(*ends, strict=True))
        mask[:, max(0, y - half):y + half + 1, max(0, x - half):x + half + 1] = 1


class InpaintingCache(LatentCache):
    """Beside a picture's latents also `concat`: the hole of this showing, and the latents of what it leaves."""

    def name(self, example: Example) -> str:
        number = number_of(example)
        return f"{super().name(example)}-{mask_of(example).content if number is None else number}"

    def prepare(self, examples: Iterable[Example], progress: Progress | None = None, batch_size: int = 1
               ) -> list[PictureGone]:
        return super().prepare(every_hole(examples), progress, batch_size)

    def concat(self, example: Example) -> torch.Tensor:
        """(5, h, w): the mask, then the latents."""
        return self.entry(example)["concat"]

    def further(self, example: Example, pixels: torch.Tensor) -> Tensors:
        height, width = (side // self.downscale for side in pixels.shape[-2:])
        number = number_of(example)
        if number is None:
            mask = masks.hole(mask_of(example), example, self.downscale)
        else:
            mask = hole(example.picture.content, number, height, width)
        missing = F.interpolate(mask[None], pixels.shape[-2:], mode="nearest")[0]
        mean, _ = self.encoded((pixels * (1 - missing))[None], [example])
        return {"concat": torch.cat([mask, mean[0]])}


def number_of(example: Example) -> int | None:
    """Which of the picture's random holes this showing has; None for the one of its mask."""
    if example.picture.mask is None:
        return example.occurrence % HOLES
    return example.occurrence // 2 % HOLES if example.occurrence % 2 else None


def mask_of(example: Example) -> Mask:
    """The mask beside the picture of a showing that has no random hole."""
    assert example.picture.mask is not None, "a picture without a mask has random holes alone"
    return example.picture.mask


def every_hole(examples: Iterable[Example]) -> Iterator[Example]:
    """The examples with each hole that they can have."""
    for example in examples:
        showings = range(HOLES) if example.picture.mask is None else (0, *range(1, 2 * HOLES, 2))
        yield from (replace(example, occurrence=number) for number in showings)
