"""Looks at the pictures of a grid and measures every file."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from lib_sdtune.config import Config
from lib_sdtune.data.picture import load
from lib_sdtune.data.scan import scan
from lib_sdtune.errors import UserError
from lib_sdtune.evaluation import measures
from lib_sdtune.evaluation.encoders import Encoder

MAX_PICTURES = 48  # training pictures that are looked at


class Judge:
    """Measures pictures against the training pictures and against the bare model's pictures of the same prompts.

    bare: [(row, PIL image)] by the bare model. prompts: the words of every row.
    """

    def __init__(self, encoder: Encoder, trained: Sequence[Image.Image], bare: Sequence[tuple[int, Image.Image]],
                 prompts: Sequence[str]) -> None:
        self.encoder, self.prompts = encoder, prompts
        rows, images = zip(*bare, strict=True)
        self.trained = encoder.latents(trained)
        self.axis, self.middle = measures.direction(encoder.images(images), encoder.images(trained))
        self.knows, self.usual = math.nan, 0.0
        if len(prompts) > 1:
            scores = encoder.recognise(images, prompts)
            self.knows = float(measures.recognised(scores, rows).mean())
            self.usual = float(measures.margins(scores, rows).mean())
        self.varied = measures.variety(encoder.latents(images), rows)

    def note(self) -> str:
        """What could not be told, in a sentence, or ""."""
        if len(self.prompts) == 1:
            return ("With one prompt it cannot be told whether a file still follows prompts; "
                    "give two or more that ask for different things.")
        if self.knows >= measures.KNOWS:
            return ""
        return (f"The bare model hardly follows these prompts itself ({self.knows:.2f}, where 0.5 is chance), so "
                "straying from them "
                "could not be told; use prompts that it knows.")

    def measure(self, pictures: Sequence[tuple[int, Image.Image]]) -> dict[str, Any]:
        """{"subject", "prompt", "variety", "copies", "best"} of [(row, PIL image)]; best: the place of the picture to
        show.
        """
        rows, images = zip(*pictures, strict=True)
        latents = self.encoder.latents(images)
        subject_scores = measures.subject(self.encoder.images(images), self.axis, self.middle)
        margins = self.adherence_margins(images, rows)
        varied = measures.variety(latents, rows)
        return {"subject": round(float(subject_scores.mean()), 4),
                "prompt": None if margins is None else round(measures.adherence(float(margins.mean()), self.usual), 4),
                "variety": rounded(varied / self.varied) if self.varied > 0 and not math.isnan(varied) else None,
                "copies": round(measures.copies(latents, self.trained), 4),
                "best": int((subject_scores.clamp(0, 1) * (1 if margins is None else margins.clamp(min=0))).argmax())}

    def adherence_margins(self, images: Sequence[Image.Image], rows: Sequence[int]) -> torch.Tensor | None:
        """(N,) by how much each picture fits its own prompt better than the others, or None where the bare model cannot
        tell.
        """
        return (measures.margins(self.encoder.recognise(images, self.prompts), rows)
                if self.knows >= measures.KNOWS else None)


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def training_pictures(config: Config, base: Path) -> list[Image.Image]:
    """RGB images of what was trained, at most `MAX_PICTURES`, spread over all. UserError when they are gone."""
    pictures = [picture for picture in scan(config.concepts, config.dataset, config.loss, base).pictures
                if not picture.is_class]
    step = max(1, math.ceil(len(pictures) / MAX_PICTURES))
    return [load(picture.path, picture.content)[0] for picture in pictures[::step]]


def opened(path: Path) -> Image.Image:
    """A picture of the grid, decoded."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as error:
        raise UserError(f"{path.name} in {path.parent} is damaged; delete it and start again.") from error

