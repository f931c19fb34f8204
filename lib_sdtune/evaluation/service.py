"""Where the tab and the API have files compared and published: one evaluation at a time, in a thread of its own.

Runs are handed in as `RunFolder`s; those whose files are compared or published have ended.
"""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune.errors import NotFound, UserError, WrongState
from lib_sdtune.evaluation import any_files, comparison, grid, publish, run_report, settings
from lib_sdtune.evaluation.any_files import AnyFiles
from lib_sdtune.evaluation.candidates import of_run
from lib_sdtune.evaluation.evaluation import FOLDER, Evaluation, result
from lib_sdtune.formats.files import atomic
from lib_sdtune.host.watcher import watched
from lib_sdtune.progress import Progress
from lib_sdtune.services.context import ServiceContext
from lib_sdtune.services.fields import refuse_unknown
from lib_sdtune.services.task import Stopped, Task
from lib_sdtune.training import per_image_loss

if TYPE_CHECKING:
    from lib_sdtune.training.runs import RunFolder

THUMBNAIL, LARGE = 128, 1024  # pixels a side
PAGES = {"page": "index.html", "sheet": "sheet.png"}


class EvaluationService:
    """tasks: {folder of an evaluation: its latest `Task`}"""

    def __init__(self, context: ServiceContext) -> None:
        self.context = context
        self.tasks: dict[Path, Task] = {}
        self.changing, self.turn = threading.RLock(), threading.Lock()

    def refuse_busy(self, run: "RunFolder | AnyFiles") -> None:
        """WrongState while the files of a run are being compared."""
        if run.path in self.tasks and self.tasks[run.path].live:
            raise WrongState(f"The files of {run.path.name} are being compared; stop that first.")

    # comparing

    def start(self, run: "RunFolder", data: dict) -> dict[str, Any]:
        """Begin or go on with an evaluation.

        UserError for settings that cannot be, or that are too much without being sure.
        """
        with self.changing:
            self.begin(run, data)
        return self.status(run)

    def start_any(self, name: str, data: dict) -> dict[str, Any]:
        """The same with any files that the host has: {"kind", "of": [names], "pictures": a folder, or ""} and the
        settings.
        """
        with self.changing:
            files = any_files.read(self.context.host, name, data, self.context.access)
            self.begin(files, {key: value for key, value in data.items() if key not in any_files.KEYS})
            any_files.remember(files)
        return self.status(files)

    def chosen(self, name: str) -> AnyFiles:
        """What `start_any` compared under that name. NotFound."""
        files = any_files.opened(self.context.host, name)
        if files is None:
            raise NotFound("There is no such file.")
        return files

    def estimate(self, run: "RunFolder | AnyFiles", data: dict) -> dict[str, Any]:
        """What `start` would have to draw: {"pictures", "missing", "bytes", "seconds"}; see `Grid.estimate`."""
        return Evaluation(self.context.host, run, settings.read(data)).estimate()

    def estimate_any(self, name: str, data: dict) -> dict[str, Any]:
        """The same of `start_any`."""
        files = any_files.read(self.context.host, name, data, self.context.access)
        return self.estimate(files, {key: value for key, value in data.items() if key not in any_files.KEYS})

    def begin(self, run: "RunFolder | AnyFiles", data: dict) -> None:
        self.refuse_busy(run)
        request = settings.read(data)
        evaluation = Evaluation(self.context.host, run, request)
        missing = evaluation.grid.missing(evaluation.cells)
        evaluation.grid.refuse_too_little_room(missing)
        if len(missing) > grid.MANY and not request.sure and evaluation.grid.pace(missing[0]):
            raise UserError(evaluation.grid.too_many(missing))
        task = self.tasks[run.path] = Task("waiting for the model")
        task.start(lambda progress: self.evaluate(evaluation, task, progress))

    def evaluate(self, evaluation: Evaluation, task: Task, progress: Progress) -> None:
        evaluation.progress = evaluation.grid.progress = progress
        waiting = self.context.host.waiting_with(lambda: progress(task.done, task.total, "waiting for the model"))
        try:
            with self.turn, waiting, watched(lambda: task.stopping, task.report_drawing):
                progress(0, 0, "waiting for the model")
                evaluation.make()
        except Stopped:
            raise Stopped("Stopped; starting again goes on.") from None

    def stop(self, run: "RunFolder | AnyFiles") -> dict[str, Any]:
        if run.path in self.tasks:
            self.tasks[run.path].stop()
        return self.status(run)

    def status(self, run: "RunFolder | AnyFiles") -> dict[str, Any]:
        """{"work", "result", "published", "files"} of a run, or of other files; published: see `publish.published`."""
        if isinstance(run, AnyFiles):
            others = [{"file": path.stem, "label": path.stem, "step": None} for path in run.files]
            return {**self.progress(run), "files": others, "published": None}
        try:
            files = [{"file": candidate.stem, "label": candidate.label, "step": candidate.step}
                     for candidate in of_run(self.context.host, run)]
        except UserError:
            files = []
        return {**self.progress(run), "files": files, "published": publish.published(self.context.host, run)}

    def progress(self, run: "RunFolder | AnyFiles") -> dict[str, Any]:
        task = self.tasks.get(run.path)
        return {"work": task.snapshot() if task else None, "result": result(run)}

    def files(self) -> dict[str, Any]:
        """{"kinds": {kind: [names of the host's files]}, "choices": [names of what was compared so far]}."""
        return any_files.everything(self.context.host)

    # publishing

    def publish(self, run: "RunFolder", data: dict) -> Any:
        """Make one of a run's files the final one: {"file", "weight", "negative_text"}. UserError."""
        refuse_unknown(data, "file", "weight", "negative_text")
        weight = data.get("weight")
        if weight is not None and (isinstance(weight, bool) or not isinstance(weight, int | float)):
            raise UserError('"weight" must be a number above 0 and at most 4.')
        for key in ("file", "negative_text"):
            if not isinstance(data.get(key), str | None):
                raise UserError(f'"{key}" must be text.')
        with self.changing:
            self.refuse_busy(run)
            return publish.publish(self.context.host, run, data.get("file") or "", weight, data.get("negative_text"))

    def unpublish(self, run: "RunFolder") -> dict[str, Any]:
        """Take a publication back; see `publish.undo`."""
        with self.changing:
            self.refuse_busy(run)
            return publish.undo(self.context.host, run)

    # looking

    def pictures(self, run: "RunFolder") -> dict[str, Any]:
        """The board of single pictures, without the machine's paths."""
        losses = per_image_loss.read(run.path)
        rows = [{key: value for key, value in row.items() if key != "path"} for row in losses["pictures"]]
        return {**losses, "pictures": rows}

    def thumbnail(self, run: "RunFolder", index: str, large: bool = False) -> Path | None:
        """The path of a small copy of a training picture, or of one to look at closely; None if it cannot be had."""
        from lib_sdtune.data.picture import Unreadable, load

        row = next((row for row in per_image_loss.read(run.path)["pictures"] if str(row["index"]) == index), None)
        if row is None:
            return None
        path = run.path / "thumbnails" / f"{row['index']}{'-large' if large else ''}.jpg"
        if not path.exists():
            try:
                image, _ = load(row["path"])
            except (Unreadable, OSError):
                return None
            image.thumbnail((LARGE, LARGE) if large else (THUMBNAIL, THUMBNAIL))
            with atomic(path) as unfinished:
                image.save(unfinished, format="JPEG", quality=85)
        return path

    def file(self, run: "RunFolder | AnyFiles", name: str) -> Path | None:
        """The path of a picture of the grid, of "page" or of "sheet"; None if there is none of that name."""
        folder = run.path / FOLDER
        if name in PAGES:
            return folder / PAGES[name] if (folder / PAGES[name]).is_file() else None
        return next((path for path in (folder / "cells").glob("*.png") if path.name == name), None)

    def report(self, run: "RunFolder", status: dict, versions: str = "") -> Path:
        """report.html of a run with that snapshot; its path."""
        return run_report.write(run, status, versions)

    def compare(self, first: "RunFolder", second: "RunFolder") -> dict[str, Any]:
        return comparison.compare(first, second)

    def comparison(self, first: "RunFolder", second: "RunFolder") -> Path:
        """The same as a page; its path."""
        return comparison.write(first, second, first.path / "compare.html")
