"""An evaluation from its beginning to its end: draw the grid, measure every file, propose one, find its strength, show
all of it on one page.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from PIL import Image

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.evaluation import base_model, page, ranking
from lib_sdtune.evaluation import candidates as saved
from lib_sdtune.evaluation.any_files import AnyFiles
from lib_sdtune.evaluation.candidates import Candidate
from lib_sdtune.evaluation.encoders import Encoder, ModelEncoder
from lib_sdtune.evaluation.grid import Cell, Grid, cells
from lib_sdtune.evaluation.judge import Judge, opened, training_pictures
from lib_sdtune.evaluation.score import Entry
from lib_sdtune.evaluation.settings import EvaluationSettings, sample_requests
from lib_sdtune.formats import structure
from lib_sdtune.formats.files import write_json
from lib_sdtune.formats.structure import is_number
from lib_sdtune.host.base import Host
from lib_sdtune.progress import Progress
from lib_sdtune.sections.concept import Concept
from lib_sdtune.training import run_lock
from lib_sdtune.training.overfitting import assess

if TYPE_CHECKING:
    from lib_sdtune.training.runs import RunFolder

T = TypeVar("T")
STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2)
FOLDER, RESULT = "choose", "result.json"
WRITTEN = {"problem": str, "measured_by": str, "validation": (dict, None), "cells": [[(str, None)]],
           "proposal": ({"file": str, "weight": structure.NUMBER}, None),
           "strength": ({"weight": structure.NUMBER, "sentence": str}, None),
           "ranking": [{"file": str, "label": str, "score": structure.NUMBER, "reasons": [str], "picture": str}],
           "curve": [{"weight": structure.NUMBER, "subject": structure.NUMBER, "prompt": (*structure.NUMBER, None)}],
           "columns": [{"file": str, "label": str}], "rows": [{"prompt": str, "seed": int}]}
"""What readers of a result count on."""


class Evaluation:
    """The saved files of one `RunFolder`, or any `AnyFiles`, compared.

    progress(done, total, text) may raise to stop.
    """

    def __init__(self, host: Host, run: "RunFolder | AnyFiles", settings: EvaluationSettings,
                 progress: Progress | None = None) -> None:
        self.host, self.run, self.settings = host, run, settings
        self.config = run.config()
        self.folder = run.path / FOLDER
        self.progress: Progress = progress or (lambda done, total, text: None)
        candidates = saved.of_files(host, run.files) if isinstance(run, AnyFiles) else saved.of_run(host, run)
        self.candidates = selected(candidates, settings.files)
        self.model = base_model.trained_on(self.candidates[0], run, host)
        saved.refuse_mixed(self.candidates, host, self.model)
        self.drawn_with = base_model.name(self.model, host)
        self.grid = Grid(host, self.folder, self.progress, self.model)
        self.requests = sample_requests(settings, self.config, host.defaults(self.model), [host.folder("templates")])
        if self.candidates[0].kind == "checkpoints":
            settings.weights, settings.strength = [1.0], False
        if isinstance(run, AnyFiles) and not run.pictures:  # nothing to rank by, so none is proposed
            settings.strength = False
        self.model_key = f"{self.model.checkpoint or self.drawn_with}, clip skip {self.model.clip_skip}"
        self.cells = cells(self.candidates, settings.weights, self.requests, settings.seeds, self.model_key)

    def estimate(self) -> dict[str, Any]:
        """What all of it would take; see `Grid.estimate`. "strength": how many of the missing pictures are for that."""
        for_strength = self.strength_cells(self.candidates[0])
        return {**self.grid.estimate([*self.cells, *for_strength]), "strength": len(self.grid.missing(for_strength))}

    def strength_cells(self, best: Candidate) -> list[Cell]:
        """The further pictures of one file that tell its strength: as many whichever it is."""
        if not self.settings.strength:
            return []
        names = {cell.name for cell in self.cells}
        return [cell for cell in self.curve_cells(best) if cell.name not in names]

    def curve_cells(self, best: Candidate) -> list[Cell]:
        weights = sorted({*STRENGTHS, *self.settings.weights})
        return cells([best], weights, self.requests, self.settings.seeds[:2], self.model_key, with_bare=False)

    def make(self) -> dict[str, Any]:
        """Everything; the result, as result.json in the run's folder `choose` holds it. Started again it goes on.

        NameTaken while the run is on, here or in another program; meanwhile it cannot be begun.
        """
        is_run = not isinstance(self.run, AnyFiles)
        with run_lock.taken(self.run.path, run_lock.COMPARING) if is_run else contextlib.nullcontext():
            return self.draw_and_rank()

    def draw_and_rank(self) -> dict[str, Any]:
        """`make` while the run folder is this process's."""
        self.grid.make(self.cells, self.settings.sure, after=len(self.strength_cells(self.candidates[0])))
        result: dict[str, Any] = {
            "run": self.run.path.name, "kind": self.candidates[0].kind, "problem": "", "drawn_with": self.drawn_with,
            "measured_by": "", "note": "", "ranking": [], "strength": None, "curve": [], "proposal": None,
            "validation": assess(self.run.log(), True), **self.layout(self.cells)}
        try:
            result |= self.rank()
        except UserError as problem:  # the grid alone is worth having
            result["problem"] = f"The files were drawn but not ranked: {problem}"
        write_json(self.folder / RESULT, result)
        page.grid(self.folder, result)
        return result

    # judging

    def rank(self) -> dict[str, Any]:
        """The part of the result that the pictures tell: the order of the files, the proposal, its strength."""
        trained = self.training_pictures()
        main = min(self.settings.weights, key=lambda weight: abs(weight - 1))
        with self.encoder() as encoder:
            judge = self.judge(encoder, trained)
            entries = [self.entry(judge, candidate, main) for candidate in self.stoppable(self.candidates)]
        order = ranking.ranked(entries, (assess(self.run.log()) or {}).get("step"))
        best = next(candidate for candidate in self.candidates if candidate.stem == order[0]["file"])
        outcome: dict[str, Any] = {"measured_by": judge.encoder.name, "note": judge.note(), "ranking": order,
                                   "proposal": {"file": best.stem, "weight": main}}
        if self.settings.strength:
            outcome |= self.strength(best, judge)
            outcome["proposal"]["weight"] = outcome["strength"]["weight"]
        return outcome

    def stoppable(self, items: Iterable[T]) -> Iterator[T]:
        """The items, one by one; between two of them it can be stopped."""
        for item in items:
            self.progress(0, 0, "comparing the pictures")
            yield item

    def training_pictures(self) -> list[Image.Image]:
        """What the files were trained on. UserError where nobody knows."""
        if self.config is not None:
            return training_pictures(self.config, Path.cwd())
        if not isinstance(self.run, AnyFiles) or not self.run.pictures:
            raise UserError("the pictures that they were trained on are not known.")
        return training_pictures(Config(name="", concepts=[Concept(images=self.run.pictures)]), Path.cwd())

    def judge(self, encoder: Encoder, trained: Sequence[Image.Image]) -> Judge:
        bare = [(cell.row, opened(self.grid.path(cell))) for cell in self.cells if cell.candidate is None]
        words = [saved.wordless(request.prompt, self.candidates[0]) for request in self.requests]
        return Judge(encoder, trained, bare, words)

    def entry(self, judge: Judge, candidate: Candidate, weight: float) -> Entry:
        drawn = [cell for cell in self.cells if cell.candidate == candidate and cell.weight == weight]
        measured = judge.measure([(cell.row, opened(self.grid.path(cell))) for cell in drawn])
        return {"file": candidate.stem, "label": candidate.label, "step": candidate.step, "epoch": candidate.epoch,
                **measured,
                "picture": drawn[measured.pop("best")].name, "val_loss": self.validation_loss(candidate)}

    def validation_loss(self, candidate: Candidate) -> float | None:
        """The last one measured before the file was saved; None where none was."""
        rows = [row for row in self.run.log()
                if is_number(row.get("val_loss")) and candidate.step is not None and row["step"] <= candidate.step]
        return rows[-1]["val_loss"] if rows else None

    def strength(self, best: Candidate, judge: Judge) -> dict[str, Any]:
        """Further pictures of one file, and what its weight does. The model is free while they are drawn."""
        drawn = self.curve_cells(best)
        self.grid.make(self.strength_cells(best), sure=True, before=len(self.cells))
        curve = []
        with self.encoder() as judge.encoder:
            for weight in self.stoppable(sorted({cell.weight for cell in drawn})):
                measured = judge.measure([(cell.row, opened(self.grid.path(cell)))
                                          for cell in drawn if cell.weight == weight])
                curve.append({"weight": weight, "subject": measured["subject"], "prompt": measured["prompt"]})
        return {"curve": curve, "strength": ranking.strength(curve)}

    @contextlib.contextmanager
    def encoder(self) -> Iterator[Encoder]:
        """The best image encoder at hand: the host's, else the model's own features."""
        self.progress(0, 0, "comparing the pictures")
        with self.host.borrow(self.model) as model:
            features = ModelEncoder(model)
            better = self.host.image_encoder()
            if better is not None:
                better.latents = features.latents
            yield better or features

    # the table

    def layout(self, drawn: Sequence[Cell]) -> dict[str, Any]:
        """{"columns", "rows", "cells"} of the grid: what stands where, and in which file."""
        columns = list(dict.fromkeys((cell.candidate.stem if cell.candidate else "", cell.weight) for cell in drawn))
        labels = {candidate.stem: candidate.label for candidate in self.candidates}
        rows = list(dict.fromkeys((cell.row, cell.request.seed) for cell in drawn))
        at = {(cell.candidate.stem if cell.candidate else "", cell.weight, cell.row, cell.request.seed): cell.name
              for cell in drawn}
        heads = [{"file": stem, "weight": weight, "label": f"{labels[stem]} · {weight:g}" if stem else "without"}
                 for stem, weight in columns]
        return {"columns": heads,
                "rows": [{"prompt": self.requests[row].prompt, "seed": seed} for row, seed in rows],
                "cells": [[at.get((*column, *row)) for column in columns] for row in rows]}


def selected(candidates: list[Candidate], files: Sequence[str]) -> list[Candidate]:
    """The candidates that were asked for. UserError for a name that is not among them."""
    if not files:
        return candidates
    by_stem = {candidate.stem: candidate for candidate in candidates}
    for name in files:
        if name not in by_stem:
            raise UserError(f'"files": the run has no saved file {name!r}; there are: {", ".join(by_stem)}.')
    return [by_stem[name] for name in dict.fromkeys(files)]


def result(run: "RunFolder | AnyFiles") -> dict[str, Any] | None:
    """What the last evaluation of a run's files found; None where there is none, or none that can be read."""
    return structure.read(run.path / FOLDER / RESULT, WRITTEN)
