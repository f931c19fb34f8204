"""Runs that outlive the page: those in the queue and at work, and everything that is on disk from earlier.

The WebUI's Interrupt ends a sample that is being made, never a run.
"""

import logging
import math
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune.errors import NameTaken, NotFound, RunError, UserError, WrongState
from lib_sdtune.failures import explain, sentence
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.formats.names import same_name
from lib_sdtune.progress import Progress
from lib_sdtune.sentences import phrase
from lib_sdtune.services.context import ServiceContext
from lib_sdtune.services.submission import check_config, check_folders, read_config
from lib_sdtune.training.run_states import ALLOWED_STATES, LIVE, UNKNOWN_STATUS, refusal, refusal_phrase, state_phrase

if TYPE_CHECKING:
    from lib_sdtune.config import Config
    from lib_sdtune.data.scan import Scan
    from lib_sdtune.training.control import Control
    from lib_sdtune.training.runs import RunFolder

CLOSING = 60  # seconds that the last words of a run that has ended may take to reach the disk
log = logging.getLogger("sdtune")


class Jobs:
    """The runs of one host. controls: {name: `Control`} of those that were put into the queue by this process."""

    def __init__(self, context: ServiceContext) -> None:
        self.context, self.queue = context, context.queue
        self.controls: dict[str, Control] = {}

    # starting

    def submit(self, data: "dict | Config", progress: Progress | None = None) -> str:
        """Queue a run, given as CONFIG's nested dict or as a `Config`; its name. UserError, NameTaken if it cannot be.

        progress: see `check_config`.
        """
        config = read_config(data, self.context.host)
        pictures = check_config(config, self.context, progress=progress)
        with self.queue.lock:
            self.refuse_live(config.name)
            return self.enqueue(config, resume=False, scan=pictures)

    def refuse_live(self, name: str) -> None:
        """NameTaken while a run of that name is on or waits."""
        if self.is_live(name):
            taken = phrase("its name is taken now; choose another, or stop it first")
            raise NameTaken(f"A run called {name} is {state_phrase(self.control_of(name).state, taken)}.")

    def enqueue(self, config: "Config", resume: bool, scan: "Scan | None" = None, restart: bool = False) -> str:
        from lib_sdtune.training import runs

        control = runs.begin(config, self.context.host, resume, restart=restart)
        control.scan = scan
        control.facts["model"] = self.context.host.about(control.model_settings).get("model", "")
        self.controls.pop(config.name, None)
        self.controls[config.name] = control
        self.queue.run_when_free(partial(self.train, control), key=control)
        return config.name

    def train(self, control: "Control") -> None:
        """A whole run, in the worker thread."""
        from lib_sdtune.training.run import run

        host = self.context.host
        try:
            with host.waiting_with(lambda: control.preparing(0, 0, "waiting for the model to be free")):
                run(control.config, host, control)
        except (UserError, RunError):
            pass  # the run's own status tells it
        except BaseException as error:
            log.exception("run %s", control.config.name)
            if control.state in LIVE:
                control.set_state("failed", sentence(error))
        host.free_memory()  # only here does nothing hold the failed run's tensors any more

    # asking

    def request(self, name: str, action: str, places: dict[str, Any] | None = None) -> None:
        """Ask a run for one of `training.control.REQUESTS`. NotFound or WrongState where there is nothing to ask.
        places: with "resume" and "retry", where its pictures are now; see `training.relocated_folders.named_anew`.
        """
        with self.queue.lock:
            if action in ("resume", "retry") and not self.is_live(name):
                return self.resume(name, places) if action == "resume" else self.retry(name, places)
            if places:
                raise WrongState(f"The run {name} is on, so its folders cannot be named anew; stop it first.")
            state = self.status(name)["state"]
            if state not in ALLOWED_STATES.get(action, ()):
                raise WrongState(f"The run {name} is {state_phrase(state, refusal_phrase(action))}.")
            if not self.is_live(name):
                raise WrongState(self.status(name)["message"])  # which says what program trains it
            control = self.control_of(name)
            if self.queue.take_back(control):
                control.cancel()
            else:
                control.request(action)

    def move(self, name: str, place: int) -> None:
        """Give a queued run another place among those that wait, 1 being next; other work for the model counts too."""
        with self.queue.lock:
            status = self.status(name)
            control = self.control(name)
            if control is None or not self.queue.move(control, place):
                no_place = phrase("it has no place in the queue")
                raise WrongState(f"The run {name} is {state_phrase(status['state'], no_place)}.")

    def resume(self, name: str, places: dict[str, Any] | None = None) -> None:
        """Go on with a run that was stopped, failed, or cut off with the process; places: see `request`."""
        folder, status = self.folder(name), self.status(name)
        if not status["resumable"]:
            raise WrongState(refusal(status, phrase("there is nothing to resume")))
        self.go_on(folder, places)

    def retry(self, name: str, places: dict[str, Any] | None = None) -> None:
        """Start a run that failed, or was cancelled, once more with its settings, from its last state if it has one."""
        folder, status = self.folder(name), self.status(name)
        if status["problem"] or not (status["state"] == "failed" or status.get("cancelled")):
            raise WrongState(refusal(status, phrase("there is nothing to try again")))
        self.go_on(folder, places, "retry")

    def go_on(self, folder: "RunFolder", places: dict[str, Any] | None, order: str = "resume") -> None:
        """Queue a run once more, from its last state if it has one. UserError where its pictures are not there."""
        from lib_sdtune.training import relocated_folders, state

        config = folder.config(relocated_folders.named_anew(folder.settings(), places or {}))
        if places:
            check_folders(config, self.context.access)
        relocated_folders.refuse_missing(config.to_dict(), order)
        self.enqueue(config, resume=state.newest(folder.path) is not None, restart=True)

    def delete(self, name: str) -> None:
        """Remove the run folder of a run that is not on; the files that it made stay. NameTaken, WrongState."""
        from lib_sdtune.evaluation.publish import refuse_swept_files
        from lib_sdtune.training.deletion import delete

        with self.queue.lock:
            if self.is_live(name):
                going_on = state_phrase(self.control_of(name).state, phrase("it cannot be deleted; stop it first"))
                raise WrongState(f"The run {name} is {going_on}.")
            if control := self.control(name):
                self.queue.wait_until_over(control, CLOSING)
            folder = self.folder(name)
            refuse_swept_files(self.context.host, folder)
            delete(folder.path, [self.context.host.folder(kind) for kind in KINDS])
            self.controls = {key: kept for key, kept in self.controls.items() if kept is not control}

    def interrupt_all(self) -> None:
        """Have every run that is on save its state and stop."""
        for name in [name for name in self.controls if self.is_live(name)]:
            self.request(name, "interrupt")

    # watching

    def is_live(self, name: str) -> bool:
        control = self.control(name)
        return control is not None and control.state in LIVE

    def control(self, name: str) -> "Control | None":
        """The control of a run of that name, also as the disk spells it; None where this process has none."""
        from lib_sdtune.training.runs import folder_of

        if name in self.controls:
            return self.controls[name]
        spelled_otherwise = [control for key, control in self.controls.items() if same_name(key, name)]
        with suppress(OSError):
            return next((control for control in spelled_otherwise
                         if control.folder.samefile(folder_of(self.context.host, name))), None)
        return None

    def control_of(self, name: str) -> "Control":
        """The same of a run that is on."""
        control = self.control(name)
        assert control is not None
        return control

    def runs(self) -> list[dict[str, Any]]:
        """The snapshot of every run, oldest first."""
        from lib_sdtune.training.runs import all_runs

        return [self.snapshot_or_problem(folder) for folder in all_runs(self.context.host)]

    def status(self, name: str) -> dict[str, Any]:
        """The snapshot of one run, in the words of the HTTP contract, and what the tab shows besides."""
        return self.snapshot(self.folder(name))

    def snapshot(self, folder: "RunFolder") -> dict[str, Any]:
        """The same of a `RunFolder`; problem: what is wrong with the folder, or ""."""
        from lib_sdtune.evaluation.publish import remaining
        from lib_sdtune.training.run_status import last_status

        name, problem = folder.path.name, folder.problem()
        settings = {} if problem else folder.settings()
        if self.is_live(name):
            status = self.live_status(name)
        else:
            status = last_status(folder, self.control(name))
            files: dict[str, Any] = {"artefacts": [], "published": None}
            status |= files if problem else remaining(self.context.host, folder, status["artefacts"])
            problem = problem or folder.status_problem()
        if status["state"] == "failed":
            status["failure"] = explain(status["message"], settings)
        return {**status, "message": problem or status["message"], "problem": problem,
                "trigger": self.trigger(settings) if settings else "", "updated": folder.updated()}

    def trigger(self, settings: dict) -> str:
        """What a user types to get what a run of these settings trains."""
        from lib_sdtune.data.captions import trigger_words

        of_method = settings.get(settings.get("method", "lora"))
        token = of_method.get("token") if isinstance(of_method, dict) else ""
        word = token if isinstance(token, str) and token else settings["name"]
        return trigger_words(settings["concepts"][0].get("prompt", ""), word, [self.context.host.folder("templates")])

    def snapshot_or_problem(self, folder: "RunFolder") -> dict[str, Any]:
        """One run that cannot be read must not take the others along."""
        try:
            return self.snapshot(folder)
        except Exception as error:
            log.exception("run folder %s", folder.path)
            problem = f"{folder.path} cannot be read: {type(error).__name__}: {error}."
            return {**UNKNOWN_STATUS, "id": folder.path.name, "state": "failed", "message": problem, "problem": problem,
                    "resumable": False, "trigger": "", "updated": 0.0}

    def live_status(self, name: str) -> dict[str, Any]:
        """The snapshot of a run in the queue or at work, with its place there."""
        control = self.control_of(name)
        place = self.queue.place(control)
        waits = {"place": place, "waiting_runs": len(self.queue.waiting)} if place else {}
        return {**control.snapshot(), "resumable": False, **waits}

    def folder(self, name: str) -> "RunFolder":
        """The `RunFolder` of a name. NotFound if there is none."""
        from lib_sdtune.training import replaced_run
        from lib_sdtune.training.runs import RunFolder, folder_of, is_run_folder

        path = folder_of(self.context.host, name)
        with suppress(OSError):  # no runs yet; and a name is only compared, because it may hold whatever somebody typed
            names = [entry for entry in os.listdir(path.parent) if same_name(entry, name)]
            if names:
                replaced_run.recover(path)
            if names and is_run_folder(path):  # which the disk finds under another spelling too, if it sees none
                return RunFolder(path if name in names else path.with_name(names[0]))
        raise NotFound(f"There is no run called {name!r}.")

    def ended(self, name: str) -> "RunFolder":
        """The `RunFolder` of a run that is not on, so that its files can be compared and published. UserError."""
        from lib_sdtune.training import run_lock

        folder = self.folder(name)
        if self.is_live(name):
            raise UserError(f"The run {name} is still on; compare its files when it has ended.")
        if folder.problem():
            raise UserError(folder.problem())
        owner = run_lock.holder(folder.path)
        if owner and owner.use == run_lock.TRAINING:
            raise WrongState(f"The run {name} is being trained by another program ({owner.name}); "
                             "compare and publish its files when it has ended.")
        return folder

    def on(self) -> str:
        """The name of the run that has the model now, or ""."""
        return next((name for name, control in list(self.controls.items()) if control is self.queue.current), "")

    def model(self, name: str) -> str:
        """The checkpoint that a queued run trains, as the host calls it; "" where that is not known yet."""
        return self.control_of(name).facts.get("model", "")

    def config(self, name: str) -> dict[str, Any]:
        """The settings of a run, as a nested dict."""
        return self.folder(name).settings()

    def log(self, name: str, since: int = 0) -> list[dict[str, Any]]:
        """Rows of the run's log.csv after step `since`; None, which JSON has, for what is not finite."""
        return [{column: None if value == math.inf else value for column, value in row.items()}
                for row in self.folder(name).log(since)]

    def sample(self, name: str, file: str) -> Path:
        """The path of a sample picture of a run. NotFound if it has none of that name."""
        for path in (self.folder(name).path / "samples").glob("*"):
            if path.name == file and path.is_file():
                return path
        raise NotFound(f"The run {name} has no sample called {file!r}.")

    def report(self, name: str) -> str:
        """Text for a bug report."""
        from lib_sdtune.report import report

        return report(self.folder(name), self.status(name))
