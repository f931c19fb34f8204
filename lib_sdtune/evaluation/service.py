"""Where the tab and the API have files compared and published: one choice at a time, in a thread of its own."""

import logging
import threading
from pathlib import Path

from lib_sdtune.errors import RunError, UserError
from lib_sdtune.evaluation import any_files, comparison, grid, publish, run_report, settings
from lib_sdtune.evaluation.candidates import of_run
from lib_sdtune.evaluation.evaluation import FOLDER, Evaluation, result
from lib_sdtune.formats.files import atomic
from lib_sdtune.training import board

log = logging.getLogger("sdtune")
THUMBNAIL = 128  # pixels a side
PAGES = {"page": "index.html", "sheet": "sheet.png"}


class Stopped(Exception):
    """A choice was asked to stop; what is drawn stays."""


class Work:
    """One choice as its watchers see it. state: waiting, working, done, stopped or failed."""

    def __init__(self):
        self.state, self.done, self.total, self.text, self.message, self.stopping = "waiting", 0, 0, "waiting for the model", "", False

    def progress(self, done, total, text):
        self.state, self.done, self.total, self.text = "working", done, total, text
        if self.stopping:
            raise Stopped

    def end(self, state, message=""):
        self.state, self.message = state, message

    @property
    def live(self):
        return self.state in ("waiting", "working")

    def seen(self):
        return {"state": self.state, "done": self.done, "total": self.total, "text": self.text, "message": self.message}


class EvaluationService:
    """`jobs` gives runs, the host, and says which folders may be named. `works`: folder of a choice -> its `Work`."""

    def __init__(self, jobs):
        self.jobs, self.works = jobs, {}
        self.changing, self.turn = threading.RLock(), threading.Lock()

    def resting(self, name):
        """The `RunFolder` of a run that is not on, and not being compared."""
        run = self.jobs.folder(name)
        if self.jobs.live(name):
            raise UserError(f"The run {name} is still on; compare its files when it has ended.")
        return self.idle(run)

    def idle(self, run):
        if run.path in self.works and self.works[run.path].live:
            raise UserError(f"The files of {run.path.name} are being compared; stop that first.")
        return run

    # comparing

    def start(self, name, data):
        """Begin or go on with a choice. UserError for wishes that cannot be, or that are too much without being sure."""
        with self.changing:
            self.begin(self.resting(name), data)
        return self.look(name)

    def start_loose(self, name, data):
        """The same with any files that the host has: {"kind", "of": [names], "pictures": a folder, or ""} and the settings."""
        with self.changing:
            chosen = any_files.read(self.jobs.host, name, data, self.jobs.access)
            self.begin(self.idle(chosen), {key: value for key, value in data.items() if key not in any_files.KEYS})
            any_files.remember(chosen)
        return self.look_loose(name)

    def begin(self, run, data):
        wanted = settings.read(data)
        choice = Evaluation(self.jobs.host, run, wanted)
        missing = choice.grid.missing(choice.cells)
        choice.grid.refuse_too_little_room(missing)
        if len(missing) > grid.MANY and not wanted.sure and choice.grid.pace(missing[0]):
            raise UserError(choice.grid.too_many(missing))
        work = self.works[run.path] = Work()
        choice.progress = choice.grid.progress = work.progress
        threading.Thread(target=self.work, args=(choice, work), name="sdtune-choice", daemon=True).start()

    def work(self, choice, work):
        try:
            with self.turn:
                if not work.stopping:
                    choice.make()
            work.end("stopped" if work.stopping else "done")
        except Stopped:
            work.end("stopped", "Stopped; starting again goes on.")
        except (UserError, RunError) as error:
            work.end("failed", str(error))
        except Exception as error:
            log.exception("choosing %s", choice.run.path.name)
            work.end("failed", f"The comparison failed with {type(error).__name__}: {error}.")

    def stop(self, name):
        self.halt(self.jobs.folder(name))
        return self.look(name)

    def stop_loose(self, name):
        self.halt(any_files.opened(self.jobs.host, name))
        return self.look_loose(name)

    def halt(self, run):
        if run and run.path in self.works:
            self.works[run.path].stopping = True

    def look(self, name):
        """{"work", "result", "published", "files"} of a run; published: see `publish.published`."""
        run = self.jobs.folder(name)
        try:
            files = [{"file": one.stem, "label": one.label, "step": one.step} for one in of_run(self.jobs.host, run)]
        except UserError:
            files = []
        return {**self.seen(run), "files": files, "published": publish.published(run)}

    def look_loose(self, name):
        """The same of what `start_loose` compared, or None."""
        run = any_files.opened(self.jobs.host, name)
        if run is None:
            return None
        files = [{"file": path.stem, "label": path.stem, "step": None} for path in run.files]
        return {**self.seen(run), "files": files, "published": None}

    def seen(self, run):
        work = self.works.get(run.path)
        return {"work": work.seen() if work else None, "result": result(run)}

    def files(self):
        """{"kinds": {kind: [names of the host's files]}, "choices": [names of what was compared so far]}."""
        return any_files.everything(self.jobs.host)

    # publishing

    def publish(self, name, data):
        unknown = set(data) - {"file", "weight", "negative_text"}
        if unknown:
            raise UserError(f'"{min(unknown)}" is not a setting; publishing takes "file", "weight" and "negative_text".')
        weight = data.get("weight")
        if weight is not None and (isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 4):
            raise UserError('"weight" must be a number above 0 and at most 4.')
        for key in ("file", "negative_text"):
            if not isinstance(data.get(key), str | None):
                raise UserError(f'"{key}" must be text.')
        with self.changing:
            return publish.publish(self.jobs.host, self.resting(name), data.get("file") or "", weight, data.get("negative_text"))

    def unpublish(self, name):
        with self.changing:
            return {"files": publish.undo(self.jobs.host, self.resting(name))}

    # looking

    def left(self, run, artefacts):
        """What is still there of a run's files: those that were swept away when one of them was published are not listed."""
        done = publish.published(run)
        found = [path for path in artefacts if Path(path).exists()]
        if done and done["path"] not in found:
            found.append(done["path"])
        return {"artefacts": found, "published": done}

    def pictures(self, name):
        """The board of single pictures, without the machine's paths."""
        seen = board.read(self.jobs.folder(name).path)
        return {**seen, "pictures": [{key: value for key, value in row.items() if key != "path"} for row in seen["pictures"]]}

    def thumbnail(self, name, index):
        """The path of a small copy of a training picture, or None."""
        from lib_sdtune.data.picture import Unreadable, load

        folder = self.jobs.folder(name).path
        row = next((row for row in board.read(folder)["pictures"] if str(row["index"]) == index), None)
        if row is None:
            return None
        path = folder / "thumbnails" / f"{row['index']}.jpg"
        if not path.exists():
            try:
                image, _ = load(row["path"])
            except (Unreadable, OSError):
                return None
            image.thumbnail((THUMBNAIL, THUMBNAIL))
            with atomic(path) as unfinished:
                image.save(unfinished, format="JPEG", quality=85)
        return path

    def file(self, name, what):
        """The path of a picture of the grid, of "page" or of "sheet"; None if there is none of that name."""
        return drawn(self.jobs.folder(name), what)

    def file_loose(self, name, what):
        run = any_files.opened(self.jobs.host, name)
        return run and drawn(run, what)

    def report(self, name, versions=""):
        """report.html of a run; its path."""
        return run_report.write(self.jobs.folder(name), self.jobs.status(name), versions)

    def compare(self, one, other):
        return comparison.compare(self.jobs.folder(one), self.jobs.folder(other))

    def comparison(self, one, other):
        """The same as a page; its path."""
        first = self.jobs.folder(one)
        return comparison.write(first, self.jobs.folder(other), first.path / "comparison.html")


def drawn(run, what):
    folder = run.path / FOLDER
    if what in PAGES:
        return folder / PAGES[what] if (folder / PAGES[what]).is_file() else None
    return next((path for path in (folder / "cells").glob("*.png") if path.name == what), None)
