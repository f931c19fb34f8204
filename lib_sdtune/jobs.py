"""Runs that outlive the page: a queue, one worker thread, and everything that is on disk from earlier.

It lives in the package, so it survives the WebUI's "Reload UI". The WebUI's Interrupt ends a sample that is being made,
never a run. Nothing heavy is imported before it is needed.
"""

import logging
import shutil
import threading
from contextlib import suppress
from pathlib import Path

from lib_sdtune.access import Access
from lib_sdtune.errors import NameTaken, RunError, UserError
from lib_sdtune.failures import explain, sentence

LIVE = ("queued", "preparing", "training", "paused")
MAKES_SENSE = {
    "stop": LIVE,
    "stop_without_saving": LIVE,
    "interrupt": LIVE,
    "pause": ("preparing", "training"),
    "resume": ("paused",),
    "sample": ("training", "paused"),
    "save": ("training", "paused"),
}
CLOSING = 60  # seconds that the last words of a run that has ended may take to reach the disk
log = logging.getLogger("sdtune")


class Unknown(UserError):
    """No run of that name: the API answers 404."""


class Refused(UserError):
    """Makes no sense in the run's state: the API answers 409."""


class Jobs:
    """The runs of one host. `make_host` is called when the host is needed first; `access` says which folders may be named."""

    def __init__(self, make_host, access=None):
        self.make_host, self.access = make_host, access or Access()
        self.controls, self.waiting, self.current = {}, [], None
        self.scan = None  # the latest: Check, Start and the run itself read only what has changed since
        self.changed = threading.Condition(threading.RLock())
        self.worker = self.made = self._desk = self._workshop = None

    @property
    def host(self):
        with self.changed:
            if self.made is None:
                self.made = self.make_host()
            return self.made

    @property
    def desk(self):
        """Where a run's files are compared and published."""
        from lib_sdtune.evaluation.service import EvaluationService

        with self.changed:
            if self._desk is None:
                self._desk = EvaluationService(self)
            return self._desk

    @property
    def workshop(self):
        """Where pictures and captions are looked after."""
        from lib_sdtune.workshop import Workshop

        with self.changed:
            if self._workshop is None:
                self._workshop = Workshop(self)
            return self._workshop

    # starting

    def submit(self, wanted):
        """Queue a run, given as CONFIG's nested dict or as a `Config`; its name. UserError, NameTaken if it cannot be."""
        from lib_sdtune.config import Config

        config = wanted if isinstance(wanted, Config) else self.read(wanted)
        self.workshop.looking.through(lambda progress: self.look(config, progress=progress))
        with self.changed:
            if self.live(config.name):
                raise NameTaken(f"A run called {config.name} is {self.controls[config.name].state}; choose another name, or stop it first.")
            return self.enqueue(config, resume=False)

    def read(self, data):
        """A checked `Config` with what the host recommends laid under it."""
        from lib_sdtune.config import Config

        first = Config.from_dict(data)
        return Config.from_dict(data, self.host.defaults(first.model))

    def look(self, config, appearance=False, progress=None):
        """The `Scan` of a run's pictures; folders that may not be named, or hold no usable picture, are refused.

        appearance: see `scan`. progress(done, total, text) may raise to stop.
        """
        from lib_sdtune.data.scan import scan
        from lib_sdtune.data.subsets import toml_folders
        from lib_sdtune.data.wording import refuse_wordless
        from lib_sdtune.formats.names import check_name
        from lib_sdtune.methods import registry as methods

        check_name(config.name)
        for number, concept in enumerate(config.concepts):
            for key in ("images", "class_images"):
                if getattr(concept, key):
                    setattr(concept, key, str(self.access.folder(getattr(concept, key), f"concepts[{number}].{key}")))
            self.access.template(concept.prompt, f"concepts[{number}].prompt")
            for folder in toml_folders(concept.images):
                self.access.folder(folder, f"concepts[{number}].images")
        if config.validation.images:
            config.validation.images = str(self.access.folder(config.validation.images, "validation.images"))
        self.host.check(config.model)
        templates = [self.host.folder("templates")]
        pictures = self.scan = scan(config.concepts, config.dataset, config.loss, Path.cwd(), progress, appearance,
                                    templates, earlier=self.scan)
        refuse_wordless(pictures)
        methods[config.method].look(config, pictures)
        return pictures

    def enqueue(self, config, resume):
        from lib_sdtune.training import runs

        control = runs.begin(config, self.host, resume)
        control.scan = self.scan
        self.controls.pop(config.name, None)
        self.controls[config.name] = control
        self.line_up(control)
        return config.name

    def errand(self, function):
        """Call `function()` when the runs before it have ended: for what needs the model, but is no run. It tells its own errors."""
        with self.changed:
            self.line_up(function)

    def line_up(self, waiting):
        self.waiting.append(waiting)
        if self.worker is None or not self.worker.is_alive():
            self.worker = threading.Thread(target=self.work, name="sdtune-worker", daemon=True)
            self.worker.start()
        self.changed.notify_all()

    # the worker

    def work(self):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting)
                control = self.current = self.waiting.pop(0)
            control() if callable(control) else self.train(control)
            with self.changed:
                self.current = None
                self.changed.notify_all()

    def train(self, control):
        from lib_sdtune.training.run import run

        try:
            with self.host.patient(lambda: control.preparing(0, 0, "waiting for the model to be free")):
                run(control.config, self.host, control)
        except (UserError, RunError):
            pass  # the run's own status tells it
        except BaseException as error:
            log.exception("run %s", control.config.name)
            if control.state in LIVE:
                control.become("failed", sentence(error))
        self.host.tidy()  # only here does nothing hold the failed run's tensors any more

    # asking

    def request(self, name, wish):
        """Ask a run for one of `training.control.REQUESTS`. Unknown or Refused where there is nothing to ask."""
        with self.changed:
            if wish == "resume" and not self.live(name):
                return self.revive(name)
            state = self.status(name)["state"]
            if state not in MAKES_SENSE.get(wish, ()):
                raise Refused(f"The run {name} is {state}, so it cannot {wish.replace('_', ' ')} now.")
            control = self.controls[name]
            if control in self.waiting:
                self.waiting.remove(control)
                control.become("stopped", "Stopped before it began.")
                control.close()
            else:
                control.request(wish)

    def revive(self, name):
        """Go on with a run that was stopped, failed, or cut off with the process."""
        folder, status = self.folder(name), self.status(name)
        if not status["resumable"]:
            raise Refused(f"The run {name} is {status['state']}, so there is nothing to resume.")
        from lib_sdtune.training import state

        self.enqueue(folder.config(), resume=state.newest(folder.path) is not None)

    def delete(self, name):
        """Remove the run folder of a run that is not on; the files that it made stay."""
        with self.changed:
            if self.live(name):
                raise Refused(f"The run {name} is {self.controls[name].state}; stop it first.")
            self.changed.wait_for(lambda: self.current is None or self.current is not self.controls.get(name), CLOSING)
            if (self.folder(name).path / "published.json").exists():
                raise Refused(f"The other files of {name} were put into its folder when it was published; take that back first.")
            shutil.rmtree(self.folder(name).path)
            self.controls.pop(name, None)

    # watching

    def live(self, name):
        return name in self.controls and self.controls[name].state in LIVE

    def runs(self):
        """The snapshot of every run, oldest first."""
        from lib_sdtune.training.runs import all_runs

        return [self.status(folder.path.name) for folder in all_runs(self.host)]

    def status(self, name):
        """The snapshot of one run, in the words of the HTTP contract, and what the tab shows besides."""
        folder = self.folder(name)
        seen = self.now(name) if self.live(name) else since_ended(folder, self.controls.get(name))
        if seen["state"] == "failed":
            seen["failure"] = explain(seen["message"], folder.settings())
        if not self.live(name):
            seen |= self.desk.left(folder, seen["artefacts"])
        return {**seen, "trigger": folder.settings()["concepts"][0].get("prompt", ""), "updated": folder.updated()}

    def now(self, name):
        control = self.controls[name]
        seen = control.snapshot()
        if control is self.current:
            seen["message"] = " · ".join(part for part in (seen["message"], self.host.note()) if part)
        return {**seen, "resumable": False}

    def folder(self, name):
        """The `RunFolder` of a name. Unknown if there is none."""
        from lib_sdtune.formats.names import check_name
        from lib_sdtune.training.runs import RunFolder, folder_of

        with suppress(UserError):
            path = folder_of(self.host, check_name(name))
            if (path / "config.json").is_file():
                return RunFolder(path)
        raise Unknown(f"There is no run called {name!r}.")

    def config(self, name):
        """The settings of a run, as a nested dict."""
        return self.folder(name).settings()

    def log(self, name, since=0):
        """Rows of the run's log.csv after step `since`."""
        return self.folder(name).log(since)

    def sample(self, name, file):
        """The path of a sample picture of a run. Unknown if it has none of that name."""
        for path in (self.folder(name).path / "samples").glob("*"):
            if path.name == file and path.is_file():
                return path
        raise Unknown(f"The run {name} has no sample called {file!r}.")

    def report(self, name):
        """Text for a bug report."""
        from lib_sdtune.report import report

        return report(self.folder(name), self.status(name))


def since_ended(folder, control=None):
    """The last snapshot of a run that is not on, also of one that was cut off.

    control: the run's own, if it ended in this process; it knows better where its last word is not on the disk (yet).
    """
    told, method = folder.status(), folder.settings().get("method", "lora")
    if control and told.get("state") in LIVE:
        told = control.snapshot()
    seen = {"method": method, "state": "queued", "step": 0, "total_steps": 0, "epoch": 0, "loss": None,
            "seconds_per_step": None, "message": "", "artefacts": [], "samples": [], **told, "id": folder.path.name, "eta_seconds": None}
    if seen["state"] in LIVE:
        seen |= {"state": "stopped", "message": "The program ended before the run did; resume to go on."}
    return {**seen, "resumable": folder.resumable()}


_shared = None


def shared(make_host, access=None):
    """The one `Jobs` of this process; the arguments count the first time, `access` each time."""
    global _shared
    if _shared is None:
        _shared = Jobs(make_host, access)
    elif access is not None:
        _shared.access = access
    return _shared
