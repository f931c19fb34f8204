"""How every single picture is doing: a by-product of the losses that training computes anyway.

A loss depends on its timestep far more than on its picture, so each one is compared with what is usual at its timestep,
as a logarithm; what a picture gets is the mean of these, shortly after the start and lately, beside the middle one of
all pictures. 1 means: as the others.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from lib_sdtune.data.example import Picture
from lib_sdtune.formats import structure
from lib_sdtune.training.best_effort_file import BestEffortFile

BINS, MEMORY = 20, 200  # of timesteps, and losses that "usual" looks back on
EARLY, LATELY = 6, 12  # showings at the start, and looked back on
HIGH, LOW = 1.25, 0.8
EVERY = 10  # seconds between two writings
FILE = "pictures.json"
WRITTEN = {
    "step": int,
    "pictures": [
        {
            "index": int,
            "file": str,
            "caption": str,
            "class": bool,
            "shown": int,
            "path": str,
            "verdict": str,
            **dict.fromkeys(("loss", "factor", "early", "error"), structure.NUMBER),
        }
    ],
}


class PerImageLoss:
    """Hears of every loss; `rows()` tells. Its `state()` goes into the resume point, so that a resumed run loses
    nothing.
    """

    def __init__(self, pictures: Sequence[Picture], folder: Path, max_timestep: int = 1000) -> None:
        self.pictures, self.file, self.width = pictures, BestEffortFile(folder / FILE), max(1, -(-max_timestep // BINS))
        self.usual = [[0, 0.0] for _ in range(BINS)]  # count, mean logarithm of the loss
        self.spread = [0, 0.0]  # count, mean square of the differences
        self.entries: dict[int, list] = {}  # index -> [showings, loss, early, lately]
        self.written = 0.0

    def note(self, indices: list[int], timesteps: list[int], losses: list[float]) -> None:
        """Losses (B,) of the pictures `indices` (B,) at timesteps (B,), as if each counted once."""
        for index, timestep, loss in zip(indices, timesteps, losses, strict=True):
            if math.isfinite(loss) and loss > 0:
                self.update(index, timestep // self.width, loss)

    def update(self, index: int, bin_number: int, loss: float) -> None:
        usual, entry = self.usual[bin_number], self.entries.setdefault(index, [0, 0.0, 0.0, 0.0])
        entry[0] += 1
        entry[1] += (loss - entry[1]) / min(entry[0], LATELY)
        difference = math.log(loss) - usual[1] if usual[0] else 0.0
        update_mean(usual, math.log(loss), MEMORY)
        update_mean(self.spread, difference**2, MEMORY)
        if entry[0] <= EARLY:
            entry[2] += (difference - entry[2]) / entry[0]
        entry[3] += (difference - entry[3]) / min(entry[0], LATELY)

    def rows(self) -> list[dict[str, Any]]:
        """[{"index", "file", "caption", "class", "shown", "loss", "factor", "early", "error", "verdict"}], worst first.

        factor: how many times the usual loss this picture has lately; early: at its start; error: relative standard
        error.
        """
        subjects = [entry for index, entry in self.entries.items() if not self.pictures[index].is_class]
        subjects = subjects or [*self.entries.values()]
        # all fall
        middle = [median(entry[column] for entry in subjects) for column in (2, 3)] if subjects else [0.0, 0.0]
        rows = [self.row(index, showings, loss, early - middle[0], lately - middle[1])
                for index, (showings, loss, early, lately) in self.entries.items()]
        return sorted(rows, key=lambda row: -row["factor"])

    def row(self, index: int, showings: int, loss: float, early: float, lately: float) -> dict[str, Any]:
        picture = self.pictures[index]
        error = math.sqrt(self.spread[1] / min(showings, LATELY))
        return {
            "index": index,
            "file": picture.path.name,
            "caption": picture.caption,
            "class": picture.is_class,
            "shown": showings,
            "loss": round(loss, 6),
            "factor": round(math.exp(lately), 3),
            "early": round(math.exp(early), 3),
            "error": round(error, 3),
            "verdict": judged(showings, early, lately, error),
        }

    # on disk

    def state(self) -> dict[str, Any]:
        return {"usual": self.usual, "spread": self.spread, "known": self.entries}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave, also after a trip through JSON."""
        self.usual, self.spread = state["usual"], state["spread"]
        self.entries = {int(index): entry for index, entry in state["known"].items()}

    def write(self, step: int, at_once: bool = False) -> None:
        """pictures.json in the run folder, now and then; it also says where each picture is, for its thumbnail."""
        if at_once or time.monotonic() - self.written > EVERY:
            self.written = time.monotonic()
            rows = [row | {"path": str(self.pictures[row["index"]].path)} for row in self.rows()]
            self.file.write({"step": step, "pictures": rows})


def update_mean(mean: list[float], value: float, memory: int) -> None:
    """mean: [count, mean], moved in place; from the count `memory` on a running mean."""
    mean[0] += 1
    mean[1] += (value - mean[1]) / min(mean[0], memory)


def judged(showings: int, early: float, lately: float, error: float) -> str:
    """"hard": stays above the others; "memorised": fell far below them; "" where nothing can be said."""
    if showings < 2 * EARLY:
        return ""
    if lately > math.log(HIGH) and lately > 2 * error and lately > early - error:
        return "hard"
    fall = error * math.sqrt(1 + LATELY / EARLY)  # of the difference: the start was measured on fewer showings
    if lately < math.log(LOW) and lately < -2 * error and lately < early - 2 * fall:
        return "memorised"
    return ""


def read(folder: Path) -> dict[str, Any]:
    """What `write` wrote, with "step"; no pictures where there is nothing yet, or nothing that can be read."""
    return structure.read(folder / FILE, WRITTEN) or {"step": 0, "pictures": []}
