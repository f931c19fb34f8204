"""The story of a choice: draw the grid, measure every file, propose one, find its strength, show all of it on one page."""

import contextlib
import logging
from pathlib import Path

from lib_sdtune.config import Concept, Config
from lib_sdtune.errors import UserError
from lib_sdtune.evaluation import candidates as saved
from lib_sdtune.evaluation import page, ranking, settings
from lib_sdtune.evaluation.any_files import AnyFiles
from lib_sdtune.evaluation.encoders import ModelEncoder
from lib_sdtune.evaluation.grid import Grid, cells
from lib_sdtune.evaluation.judge import Judge, opened, training_pictures
from lib_sdtune.formats.files import read_json, write_json
from lib_sdtune.training.overfitting import assess

log = logging.getLogger("sdtune")
STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2)
FOLDER, RESULT = "choose", "result.json"


class Evaluation:
    """The saved files of one `RunFolder`, or of a `AnyFiles` lot, compared.

    wanted: `settings.EvaluationSettings`; progress(done, total, text) may raise to stop.
    """

    def __init__(self, host, run, wanted, progress=None):
        self.host, self.run, self.wanted = host, run, wanted
        self.config = run.config()
        self.folder = run.path / FOLDER
        self.progress = progress or (lambda done, total, text: None)
        found = saved.of_files(host, run.files) if isinstance(run, AnyFiles) else saved.of_run(host, run)
        self.candidates = named(found, wanted.files)
        saved.refuse_mixed(self.candidates, host)
        self.model = saved.trained_on(self.candidates[0], self.config, host)
        self.grid = Grid(host, self.folder, self.progress, self.model)
        side = host.defaults(self.model).get("dataset", {}).get("resolution", 512)
        self.requests = settings.requests(wanted, self.config, side)
        if self.candidates[0].kind == "checkpoints":
            wanted.weights, wanted.strength = [1.0], False
        self.told = f"{self.model.checkpoint or host.about().get('model', '')}, clip skip {self.model.clip_skip}"
        self.cells = cells(self.candidates, wanted.weights, self.requests, wanted.seeds, self.told)

    def estimate(self):
        """What the grid would take; see `Grid.estimate`."""
        return self.grid.estimate(self.cells)

    def make(self):
        """Everything; the result, as result.json in the run's folder `choose` holds it. Started again it goes on."""
        self.grid.make(self.cells, self.wanted.sure)
        result = {"run": self.run.path.name, "kind": self.candidates[0].kind, "problem": "", "measured_by": "", "note": "", "ranking": [],
                  "strength": None, "curve": [], "proposal": None, "validation": assess(self.run.log()), **self.layout(self.cells)}
        try:
            result |= self.judged()
        except UserError as problem:  # the grid alone is worth having
            result["problem"] = f"The files were drawn but not ranked: {problem}"
        write_json(self.folder / RESULT, result)
        page.grid(self.folder, result)
        return result

    # judging

    def judged(self):
        trained = self.training_pictures()
        main = min(self.wanted.weights, key=lambda weight: abs(weight - 1))
        with self.encoder() as encoder:
            judge = self.judge(encoder, trained)
            entries = [self.entry(judge, one, main) for one in self.counted(self.candidates)]
        order = ranking.ranked(entries, (assess(self.run.log()) or {}).get("step"))
        best = next(one for one in self.candidates if one.stem == order[0]["file"])
        found = {"measured_by": judge.encoder.name, "note": judge.note(), "ranking": order,
                 "proposal": {"file": best.stem, "weight": main}}
        if self.wanted.strength:
            found |= self.strength(best, judge)
            found["proposal"]["weight"] = found["strength"]["weight"]
        return found

    def counted(self, things):
        """The things, one by one, with their progress."""
        for place, one in enumerate(things):
            self.progress(place, len(things), "comparing the pictures")
            yield one

    def training_pictures(self):
        if self.config is not None:
            return training_pictures(self.config, Path.cwd())
        if not self.run.pictures:
            raise UserError("the pictures that they were trained on are not known.")
        return training_pictures(Config(name="", concepts=[Concept(images=self.run.pictures)]), Path.cwd())

    def judge(self, encoder, trained):
        bare = [(cell.row, opened(self.grid.path(cell))) for cell in self.cells if cell.candidate is None]
        words = [saved.wordless(request.prompt, self.candidates[0]) for request in self.requests]
        return Judge(encoder, trained, bare, words)

    def entry(self, judge, one, weight):
        own = [cell for cell in self.cells if cell.candidate == one and cell.weight == weight]
        found = judge.measure([(cell.row, opened(self.grid.path(cell))) for cell in own])
        return {"file": one.stem, "label": one.label, "step": one.step, "epoch": one.epoch, **found,
                "picture": own[found.pop("best")].name, "val_loss": self.validation_loss(one)}

    def validation_loss(self, one):
        """The one that was measured last before the file was saved."""
        rows = [row for row in self.run.log() if row.get("val_loss") is not None and one.step is not None and row["step"] <= one.step]
        return rows[-1]["val_loss"] if rows else None

    def strength(self, best, judge):
        """Further pictures of one file, and what its weight does. The model is free while they are drawn."""
        wanted = cells([best], sorted({*STRENGTHS, *self.wanted.weights}), self.requests, self.wanted.seeds[:2], self.told,
                       with_bare=False)
        self.grid.make(wanted, sure=True)
        curve = []
        with self.encoder() as judge.encoder:
            for weight in self.counted(sorted({cell.weight for cell in wanted})):
                found = judge.measure([(cell.row, opened(self.grid.path(cell))) for cell in wanted if cell.weight == weight])
                curve.append({"weight": weight, "subject": found["subject"], "prompt": found["prompt"]})
        return {"curve": curve, "strength": ranking.strength(curve)}

    @contextlib.contextmanager
    def encoder(self):
        """The best image encoder at hand: the host's, else the model's own features."""
        self.progress(0, 0, "comparing the pictures")
        with self.host.borrow(self.model) as model:
            own = ModelEncoder(model)
            foreign = self.host.image_encoder()
            if foreign is not None:
                foreign.latents = own.latents
            yield foreign or own

    # the table

    def layout(self, wanted):
        """{"columns", "rows", "cells"} of the grid: what stands where, and in which file."""
        columns = list(dict.fromkeys((cell.candidate.stem if cell.candidate else "", cell.weight) for cell in wanted))
        labels = {one.stem: one.label for one in self.candidates}
        rows = list(dict.fromkeys((cell.row, cell.request.seed) for cell in wanted))
        at = {(cell.candidate.stem if cell.candidate else "", cell.weight, cell.row, cell.request.seed): cell.name for cell in wanted}
        heads = [{"file": stem, "weight": weight, "label": f"{labels[stem]} · {weight:g}" if stem else "without"}
                 for stem, weight in columns]
        return {"columns": heads,
                "rows": [{"prompt": self.requests[row].prompt, "seed": seed} for row, seed in rows],
                "cells": [[at.get((*column, *row)) for column in columns] for row in rows]}


def named(found, files):
    """The candidates that were asked for. UserError for a name that is not among them."""
    if not files:
        return found
    known = {one.stem: one for one in found}
    for name in files:
        if name not in known:
            raise UserError(f'"files": the run has no saved file {name!r}; there are: {", ".join(known)}.')
    return [known[name] for name in dict.fromkeys(files)]


def result(run):
    """What the last choice of a `RunFolder` found, or None."""
    try:
        return read_json(run.path / FOLDER / RESULT)
    except (OSError, ValueError):
        return None
