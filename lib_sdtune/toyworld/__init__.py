"""The toy world: 64x64 pictures of one flat, antialiased object on a flat background, and captions that say so.

The embedded model is trained on it, the sample pictures are drawn by it, and the measures know its ground truth.
Everything is a function of the `random.Random` that is handed in.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw

SIZE = 64
RADIUS = (16.0, 22.0)
MEDIUM = 19.0
JITTER = 3.0
FINE = 4  # drawn this much larger, then averaged down

Polygon = list[tuple[float, float]]
Colour = Sequence[float]
"""Red, green, blue, 0..255."""

COLOURS = {"red": (214, 36, 40), "orange": (245, 138, 28), "yellow": (250, 220, 40), "green": (26, 138, 60),
           "blue": (40, 84, 214), "purple": (128, 46, 172), "pink": (244, 84, 168), "brown": (120, 68, 28)}
BACKGROUNDS = {"snow": (246, 249, 250), "sand": (228, 208, 164), "grass": (168, 216, 148), "sky": (164, 208, 244),
               "rose": (246, 190, 204), "lavender": (204, 188, 240), "stone": (148, 150, 154), "night": (28, 30, 58)}


def arc(x: float, y: float, rx: float, ry: float | None = None, start: float = 0.0, stop: float = 360.0,
        points: int = 48) -> Polygon:
    """Points on an ellipse, degrees clockwise from three o'clock (y points down)."""
    ry = rx if ry is None else ry
    turns = [math.radians(start + (stop - start) * i / points) for i in range(points + 1)]
    return [(x + rx * math.cos(t), y + ry * math.sin(t)) for t in turns]


def star(points: int, inner: float) -> Polygon:
    """A star of that many points, whose notches lie at `inner` of the radius."""
    turns = [math.pi * (i / points - 0.5) for i in range(2 * points)]
    return [((inner if i % 2 else 1.1) * math.cos(t), (inner if i % 2 else 1.1) * math.sin(t) + 0.05)
            for i, t in enumerate(turns)]


def heart() -> Polygon:
    turns = [2 * math.pi * i / 64 for i in range(64)]
    return [(math.sin(t) ** 3 * 1.05,
             0.02 - (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 15.5)
            for t in turns]


def box(left: float, top: float, right: float, bottom: float) -> Polygon:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


Form = list[tuple[Polygon, bool]]
"""[(polygon, filled)], painted in order; unit coordinates, y down."""

SHAPES: dict[str, Form] = {
    "circle": [(arc(0, 0, 0.95), True)],
    "square": [(box(-0.84, -0.84, 0.84, 0.84), True)],
    "triangle": [([(0, -1.0), (1.08, 0.82), (-1.08, 0.82)], True)],
    "star": [(star(5, 0.44), True)],
    "heart": [(heart(), True)],
    "ring": [(arc(0, 0, 1.0), True), (arc(0, 0, 0.52), False)],
    "cross": [(box(-0.34, -1.0, 0.34, 1.0), True), (box(-1.0, -0.34, 1.0, 0.34), True)],
    "cat": [(arc(0, 0.25, 0.9, 0.74), True), ([(-0.9, 0.3), (-0.86, -1.05), (-0.12, -0.4)], True),
            ([(0.9, 0.3), (0.86, -1.05), (0.12, -0.4)], True), (arc(-0.38, 0.1, 0.17), False),
            (arc(0.38, 0.1, 0.17), False)],
}

# Forms that the embedded model has never seen: what there is to teach it.
SUBJECTS: dict[str, Form] = {
    "mushroom": [(arc(0, -0.05, 1.05, 0.9, 180, 360), True), (box(-0.34, -0.1, 0.34, 0.95), True)],
    "fish": [(arc(-0.2, 0, 0.82, 0.6), True), ([(0.3, 0), (1.08, -0.68), (1.08, 0.68)], True),
             (arc(-0.58, -0.12, 0.13), False)],
    "house": [(box(-0.72, -0.1, 0.72, 0.95), True), ([(0, -1.05), (1.05, -0.05), (-1.05, -0.05)], True),
              (box(-0.2, 0.35, 0.2, 0.96), False)],
    "arrow": [([(0, -1.05), (0.95, 0.0), (-0.95, 0.0)], True), (box(-0.32, -0.05, 0.32, 1.0), True)],
}
FORMS = SHAPES | SUBJECTS

CLASS = "toy"  # the word for any of the shapes
FULL = ["a photo of a {c} {s} on {b}", "a photo of a {c} {s} on a {b} background", "a {c} {s} on {b}",
        "a picture of a {c} {s} on {b}",
        "{c} {s} on {b}", "a drawing of a {c} {s} on a {b} background", "a {c} {s}, {b} background"]
PARTIAL = ["a photo of a {c} {s}", "a photo of a {s} on {b}", "a photo of a {s}", "a {c} {s}",
           "a {s} on a {b} background"]
RARE = ["ron", "sks", "ohwx", "zwx", "zibo", "kumi", "mox", "blip"]  # whole words of the vocabulary that mean nothing


@dataclass(frozen=True)
class Scene:
    """What one picture shows. x, y, radius in pixels of a 64x64 picture."""

    form: str
    colour: str
    background: str
    x: float = SIZE / 2
    y: float = SIZE / 2
    radius: float = MEDIUM


def random_scene(rng: Random, form: str | None = None, colour: str | None = None, background: str | None = None
                 ) -> Scene:
    """A random scene; the form, colour and background that are named stay."""
    return Scene(form or rng.choice(list(SHAPES)), colour or rng.choice(list(COLOURS)),
                 background or rng.choice(list(BACKGROUNDS)),
                 SIZE / 2 + rng.uniform(-JITTER, JITTER), SIZE / 2 + rng.uniform(-JITTER, JITTER), rng.uniform(*RADIUS))


def silhouette(form: str | Form, x: float = SIZE / 2, y: float = SIZE / 2, radius: float = MEDIUM, size: int = SIZE
               ) -> np.ndarray:
    """Coverage of a form, or of the one of that name: (size, size) float32 in 0..1."""
    scale = FINE * size / SIZE
    canvas = Image.new("L", (size * FINE, size * FINE), 0)
    draw = ImageDraw.Draw(canvas)
    for polygon, filled in FORMS[form] if isinstance(form, str) else form:
        draw.polygon([((x + radius * px) * scale, (y + radius * py) * scale) for px, py in polygon],
                     fill=255 if filled else 0)
    return np.asarray(canvas.resize((size, size), Image.Resampling.BOX), dtype=np.float32) / 255


def paint(cover: np.ndarray, colour: Colour, background: Colour) -> Image.Image:
    """An RGB picture from a coverage mask and two colours (0..255)."""
    inside, outside = np.asarray(colour, np.float32), np.asarray(background, np.float32)
    return Image.fromarray((outside + cover[..., None] * (inside - outside) + 0.5).astype(np.uint8))


def draw(scene: Scene, size: int = SIZE) -> Image.Image:
    """The picture of a `Scene`."""
    cover = silhouette(scene.form, scene.x, scene.y, scene.radius, size)
    return paint(cover, COLOURS[scene.colour], BACKGROUNDS[scene.background])


def full_caption(scene: Scene, noun: str | None = None, template: str = FULL[0]) -> str:
    """The template filled in; noun: what the form is called, None by its name."""
    return template.format(c=scene.colour, s=noun or scene.form, b=scene.background)


def caption(rng: Random, scene: Scene, plain: bool = False) -> str:
    """A caption as the model is trained with: paraphrased, sometimes partial, empty, or with a word that means nothing.

    `plain` keeps to full captions.
    """
    if plain:
        return full_caption(scene, template=rng.choice(FULL))
    if rng.random() < 0.1:
        return ""
    noun = CLASS if rng.random() < 0.12 else scene.form
    if rng.random() < 0.15:
        noun = f"{rare_word(rng)} {noun}"
    return full_caption(scene, noun, rng.choice(FULL if rng.random() < 0.8 else PARTIAL))


def rare_word(rng: Random) -> str:
    """A word without meaning: one of `RARE`, or random letters."""
    if rng.random() < 0.5:
        return rng.choice(RARE)
    while True:
        word = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 5)))
        if word not in FORMS and word not in COLOURS and word not in BACKGROUNDS:
            return word
