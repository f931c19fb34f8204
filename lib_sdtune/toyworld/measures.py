"""What a picture of the toy world shows, and how well a set of pictures does: measured against drawings.

No trained judge: the object is told from the flat background by colour, and its silhouette is laid over the drawn
silhouettes of every form, at its own place and size. A picture that shows no clear form is "none".
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL.Image import Image

from lib_sdtune import toyworld
from lib_sdtune.toyworld import Colour, Scene

CLEAR = 0.72  # overlap from which a silhouette counts as a form; reconstructions of drawings reach .85 and more
# x, y of the pixels' centres
GRID = np.stack(np.meshgrid(np.arange(toyworld.SIZE) + 0.5, np.arange(toyworld.SIZE) + 0.5))


@dataclass(frozen=True)
class Recognised:
    """What was recognised. overlap: 0..1, intersection over union with the best form's drawing."""

    form: str
    overlap: float
    colour: str
    background: str
    cover: np.ndarray


def recognise(picture: Image, forms: Iterable[str] = tuple(toyworld.FORMS)) -> Recognised:
    """A `Recognised` for a PIL image; other sizes are brought to 64x64."""
    pixels = np.asarray(picture.convert("RGB").resize((toyworld.SIZE, toyworld.SIZE)), np.float32)
    cover, colour, background = segment(pixels)
    overlaps = {form: overlap(cover, form) for form in forms}
    best = max(overlaps, key=lambda form: overlaps[form])
    return Recognised(best if overlaps[best] >= CLEAR else "none", overlaps[best], nearest(colour, toyworld.COLOURS),
                nearest(background, toyworld.BACKGROUNDS), cover)


def segment(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(cover 0..1 (64, 64), object's colour, background's colour) of pixels (64, 64, 3), 0..255."""
    border = np.concatenate([edge.reshape(-1, 3) for edge in (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:])])
    background = np.median(border, axis=0)
    away = np.linalg.norm(pixels - background, axis=2)
    inside = away > 0.6 * np.quantile(away, 0.95)
    colour = np.median(pixels[inside], axis=0) if inside.any() else background
    line = colour - background
    cover = (pixels - background) @ line / max(float(line @ line), 900.0)  # nothing fainter than 30 of 255 is an object
    return np.clip(cover, 0, 1), colour, background


def nearest(colour: np.ndarray, named: Mapping[str, Colour]) -> str:
    """The name of the colour that is most like it."""
    return min(named, key=lambda name: float(np.square(colour - np.asarray(named[name], np.float32)).sum()))


def overlap(cover: np.ndarray, form: str) -> float:
    """Intersection over union of a cover with the form's drawing at the same centre of mass and about the same extent.
    """
    mass = cover.sum()
    if mass < 40:
        return 0.0
    centre, extent = moments(cover)
    own_centre, own_extent = form_moments(form)
    best = 0.0
    for scale in (0.94, 1.0, 1.06):
        radius = extent / own_extent * scale
        x, y = centre - radius * own_centre
        drawn = toyworld.silhouette(form, x, y, radius)
        best = max(best, float(np.minimum(cover, drawn).sum() / np.maximum(cover, drawn).sum()))
    return best


def moments(cover: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre of mass (x, y) and root mean square distance from it."""
    share = cover / cover.sum()
    centre = (GRID * share).sum(axis=(1, 2))
    return centre, math.sqrt(float((np.square(GRID - centre[:, None, None]).sum(0) * share).sum()))


@lru_cache(maxsize=64)
def form_moments(form: str) -> tuple[np.ndarray, float]:
    """The same of a form drawn with radius 1."""
    centre, extent = moments(toyworld.silhouette(form, radius=24))
    return (centre - toyworld.SIZE / 2) / 24, extent / 24


def subject_fidelity(pictures: Sequence[Image], form: str) -> float:
    """Share of the pictures that plainly show the form."""
    return float(np.mean([recognise(picture).form == form for picture in pictures]))


def prompt_fidelity(pictures: Sequence[Image], scenes: Sequence[Scene]) -> dict[str, float]:
    """Shares of pictures whose form, colour and background are those of the `Scene` asked for; None asks for nothing.
    """
    recognised = [recognise(picture) for picture in pictures]

    def share(name: str) -> float:
        pairs = [(getattr(s, name), getattr(t, name))
                 for s, t in zip(recognised, scenes, strict=True) if getattr(t, name)]
        return float(np.mean([a == b for a, b in pairs])) if pairs else math.nan

    return {name: share(name) for name in ("form", "colour", "background")}


def variety(pictures: Sequence[Image]) -> float:
    """How different pictures of one prompt are from each other: mean of 1 - overlap of their silhouettes' pairs, 0..1.
    """
    covers = [recognise(picture).cover for picture in pictures]
    gaps = [1 - np.minimum(a, b).sum() / max(np.maximum(a, b).sum(), 1e-6) for i, a in enumerate(covers)
            for b in covers[:i]]
    return float(np.mean(gaps))


def kinds(pictures: Iterable[Image]) -> float:
    """How many of the world's shapes there effectively are: exp of the entropy of what is recognised, unclear ones left
    out.
    """
    counts = Counter(recognised.form for recognised in map(recognise, pictures) if recognised.form != "none")
    total = sum(counts.values())
    return math.exp(-sum(n / total * math.log(n / total) for n in counts.values())) if total else 0.0
