"""Forms that are nobody's: a few parts put together, as things are; none of the toy world or of a benchmark."""

import math
import random

from lib_sdtune.toyworld import arc, box

Polygon = list[tuple[float, float]]


def odd_form(rng: random.Random) -> list[tuple[Polygon, bool]]:
    """One to four parts, as `toyworld.SHAPES` has forms; in half of them all but the first are mirrored, as in many
    things, and some have a hole. The autoencoder itself learned from simpler ones: a polygon, a bar, a hole.
    """
    mirrored = rng.random() < 0.5
    parts = [part(rng, mirrored and n == 0) for n in range(rng.randint(1, 4))]
    if mirrored:
        parts += [[(-x, y) for x, y in reversed(polygon)] for polygon in parts[1:]]
    form = [(polygon, True) for polygon in fitted(parts)]
    if rng.random() < 0.3:
        side = 0.0 if mirrored else rng.uniform(-0.5, 0.5)
        form.append((arc(side, rng.uniform(-0.5, 0.5), rng.uniform(0.12, 0.4), rng.uniform(0.12, 0.4)), False))
    return form


def part(rng: random.Random, centred: bool) -> Polygon:
    """A bar, an ellipse, a triangle, a trapezoid or a ragged polygon; thin ones are as frequent as thick ones."""
    wide, high = rng.choice([(0.15, 0.9), (0.9, 0.15), (0.25, 0.6), (0.6, 0.25), (0.5, 0.5), (0.8, 0.6), (0.6, 0.8)])
    wide, high = wide * rng.uniform(0.7, 1.3), high * rng.uniform(0.7, 1.3)
    x, y = 0.0 if centred else rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7)
    kind = rng.choice(["bar", "ellipse", "half", "triangle", "trapezoid", "ragged"])
    if kind == "bar":
        return box(x - wide, y - high, x + wide, y + high)
    if kind in ("ellipse", "half"):
        start = rng.choice([0, 90, 180, 270]) if kind == "half" else 0
        return arc(x, y, wide, high, start, start + (180 if kind == "half" else 360))
    if kind == "ragged":
        count, turn = rng.randint(3, 9), rng.uniform(0, 6.3)
        around = [(turn + 2 * math.pi * n / count, rng.uniform(0.4, 1.1)) for n in range(count)]
        return [(x + wide * far * math.cos(angle), y + high * far * math.sin(angle)) for angle, far in around]
    top, bottom = (0.0, wide) if kind == "triangle" else (wide * rng.uniform(0.3, 1), wide)
    if rng.random() < 0.5:
        top, bottom = bottom, top
    return [(x - top, y - high), (x + top, y - high), (x + bottom, y + high), (x - bottom, y + high)]


def fitted(parts: list[Polygon]) -> list[Polygon]:
    """The parts moved and scaled together, so that the longer side goes from -1.05 to 1.05."""
    xs, ys = zip(*(point for polygon in parts for point in polygon), strict=True)
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    scale = 2.1 / max(right - left, bottom - top)
    return [[((x - (left + right) / 2) * scale, (y - (top + bottom) / 2) * scale) for x, y in polygon]
            for polygon in parts]
