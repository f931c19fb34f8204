"""The pictures of a grid: made by the host, kept one by one under what they depend on, so that a grid can be gone on
with.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lib_sdtune.errors import RunError, UserError
from lib_sdtune.evaluation.candidates import Candidate, wordless
from lib_sdtune.formats import infotext, structure
from lib_sdtune.formats.files import free_space, write_json
from lib_sdtune.host.base import Host, SampleRequest
from lib_sdtune.progress import Progress
from lib_sdtune.sections.model import Model

MANY = 500  # pictures that are made without asking
SPARE = 64 * 2**20  # bytes that stay free
PACE = "pace.json"  # in the folder of SD Tune: what one run has measured another one may count on


class TooMany(UserError):
    """More pictures than anybody should wait for unasked; the sentence says how long they take."""


@dataclass(frozen=True)
class Cell:
    """One picture.

    candidate None: the bare model. row: the prompt's number. `request` is complete. model: what draws it.
    """

    candidate: Candidate | None
    weight: float
    row: int
    request: SampleRequest
    model: str = ""

    @property
    def name(self) -> str:
        """The picture's file: the same for the same file, weight, request and model, another when any of them changes.
        """
        file = [] if self.candidate is None else [str(self.candidate.path), *stamp(self.candidate.path)]
        key = repr([*file, self.weight, sorted(asdict(self.request).items()), self.model])
        return f"{hashlib.blake2b(key.encode(), digest_size=10).hexdigest()}.png"


def stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        raise UserError(f"{path} is not there any more; look at the run's files again.") from None
    return status.st_size, status.st_mtime_ns


def cells(candidates: Sequence[Candidate], weights: Sequence[float], requests: Sequence[SampleRequest],
          seeds: Sequence[int], model: str = "", with_bare: bool = True) -> list[Cell]:
    """Every `Cell`: first the bare model, then file by file and weight by weight.

    model: what tells the bare model from others.
    """
    first = candidates[0]
    seeded = [(row, replace(request, seed=seed)) for row, request in enumerate(requests) for seed in seeds]
    bare = [Cell(None, 0.0, row, replace(request, prompt=wordless(request.prompt, first)), model)
            for row, request in seeded]
    return (bare if with_bare else []) + [
        Cell(candidate, weight, row, replace(request, prompt=candidate.prompt(request.prompt, weight)),
             "" if candidate.kind == "checkpoints" else model)
        for candidate in candidates for weight in weights for row, request in seeded]


class Grid:
    """The pictures of some cells in `folder`. `progress(done, total, text)` may raise to stop; what is done stays done.

    model: `config.Model`, what draws the cells whose file is not a model itself; None is what the host has loaded.
    """

    def __init__(self, host: Host, folder: str | Path, progress: Progress | None = None, model: Model | None = None
                 ) -> None:
        self.host, self.folder, self.bare = host, Path(folder), model
        self.progress: Progress = progress or (lambda done, total, text: None)

    def path(self, cell: Cell) -> Path:
        return self.folder / "cells" / cell.name

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        return [cell for cell in cells if not self.path(cell).exists()]

    def make(self, cells: Sequence[Cell], sure: bool = False, before: int = 0, after: int = 0) -> None:
        """Draw what is missing. `TooMany` when it is too much to start unasked, UserError when the disk is too full.

        before, after: pictures of the whole work that were drawn earlier, or will be later, so that it is counted once.
        """
        missing = self.missing(cells)
        self.refuse_too_little_room(missing)
        if len(missing) > MANY and not sure:
            if not self.pace(missing[0]):
                self.draw_all([missing[:1]], 0, len(missing))
            raise TooMany(self.too_many(missing))
        done, total = before + len(cells) - len(missing), before + len(cells) + after
        self.draw_all(groups(missing), done, total)
        self.progress(before + len(cells), total, "drawing pictures")

    def draw_all(self, groups: Sequence[Sequence[Cell]], done: int, total: int) -> None:
        """Group by group. The model that is lent for one stays for the next, since lending may mean loading it, unless
        somebody waits for their own.
        """
        with contextlib.ExitStack() as lent:
            before: list[Model | None] = []
            for group in groups:
                model = self.model(group[0])
                if before != [model] or self.host.is_wanted():
                    lent.close()
                    if model is not None:
                        lent.enter_context(self.host.borrow(model))
                    before = [model]
                self.draw(group, done, total)
                done += len(group)

    def draw(self, group: Sequence[Cell], done: int, total: int) -> None:
        """The pictures of one file at one weight."""
        started, drawn = time.perf_counter(), 0
        for cell, image in zip(group, self.host.generate([cell.request for cell in group]), strict=False):
            infotext.save(image, self.path(cell))
            drawn += 1
            self.progress(done + drawn, total, "drawing pictures")
        if drawn < len(group):
            self.progress(done + drawn, total, "drawing pictures")  # which raises where somebody asked to stop
            raise RunError(f"The grid was interrupted after {done + drawn} of {total} pictures; start it again to go "
                           "on.")
        self.learn_pace(group, time.perf_counter() - started)

    def model(self, cell: Cell) -> Model | None:
        """What the cell is drawn with: the file itself where that is what was trained. None is what is loaded."""
        if cell.candidate is not None and cell.candidate.kind == "checkpoints":
            return Model(str(cell.candidate.path), self.bare.clip_skip if self.bare else 1)
        return None if self.bare == Model() else self.bare

    # what it takes

    def pace(self, cell: Cell) -> float | None:
        """Seconds a picture like this took the last time, or None."""
        measured = structure.read(self.host.folder("sdtune") / PACE, {"seconds_per_step_and_pixel": structure.NUMBER})
        return measured and measured["seconds_per_step_and_pixel"] * work(cell)

    def learn_pace(self, group: Sequence[Cell], seconds: float) -> None:
        pace = seconds / sum(work(cell) for cell in group)
        write_json(self.host.folder("sdtune") / PACE, {"seconds_per_step_and_pixel": pace})

    def estimate(self, cells: Sequence[Cell]) -> dict[str, Any]:
        """{"pictures", "missing", "seconds", "bytes"}; seconds None as long as nothing was drawn here."""
        missing = self.missing(cells)
        paces = [self.pace(cell) for cell in missing]
        return {"pictures": len(cells), "missing": len(missing), "bytes": sum(size(cell) for cell in missing),
                "seconds": None if None in paces else sum(paces)}

    def too_many(self, missing: Sequence[Cell]) -> str:
        estimate = self.estimate(missing)
        return (f"The grid has {len(missing):,} pictures to draw, which takes about {duration(estimate['seconds'])} "
                f"and {estimate['bytes'] / 2**20:,.0f} MB. Take fewer files, weights, prompts or seeds, "
                "or say that you are sure (\"sure\": true, --sure).")

    def refuse_too_little_room(self, missing: Sequence[Cell]) -> None:
        needed, free = sum(size(cell) for cell in missing) + SPARE, free_space(self.folder)
        if missing and needed > free:
            raise UserError(f"The grid needs about {needed / 2**20:,.0f} MB of disk space in {self.folder} "
                            f"and {free / 2**20:,.0f} MB are free. "
                            "Make room, or take fewer pictures.")


def groups(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Cells of one file and weight that stand together."""
    grouped: list[list[Cell]] = []
    for cell in cells:
        if not grouped or (grouped[-1][0].candidate, grouped[-1][0].weight) != (cell.candidate, cell.weight):
            grouped.append([])
        grouped[-1].append(cell)
    return grouped


def work(cell: Cell) -> int:
    request = cell.request
    return request.steps * request.width * request.height


def size(cell: Cell) -> int:
    """Bytes that a picture takes as PNG, about."""
    return 2 * cell.request.width * cell.request.height


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
