"""A run's requests (pause, stop, sample, save) and its status, exchanged between the run's thread and those who watch
it. Thread-safe.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lib_sdtune.config import Config
from lib_sdtune.data.scan import Scan
from lib_sdtune.errors import UserError
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.training import replaced_run, run_lock
from lib_sdtune.training.best_effort_file import BestEffortFile
from lib_sdtune.training.duration import seconds_due
from lib_sdtune.training.parallel import World
from lib_sdtune.training.run_states import ENDED, refusal_phrase, state_phrase
from lib_sdtune.training.sample_times import SampleTimes, due
from lib_sdtune.training.step_result import Step
from lib_sdtune.training.time_spent import TimeSpent

STOP_REQUESTS = ("stop", "stop_without_saving", "interrupt")  # with the file, with nothing, with the state alone
REQUESTS = (*STOP_REQUESTS, "pause", "resume", "sample", "save")
NO_FAULT = "", lambda: False
log = logging.getLogger("sdtune")


class Stopped(Exception):
    """Raised out of preparation when a stop was asked for; nothing was trained yet."""


class Control:
    """One run's requests and status. `folder` is the run folder; `on_change(control)` is called after every change."""

    def __init__(self, config: Config, folder: Path, on_change: Callable[["Control"], None] | None = None) -> None:
        self.config, self.folder, self.on_change, self.world = config, folder, on_change, World()
        self.model_settings = config.model  # with the checkpoint that the run was begun on, where it is known
        self.state, self.message, self.waiting, self.drawing = "queued", "", "", ""
        self.step, self.total_steps, self.epoch, self.epochs = 0, 0, 0, 0
        self.loss: float | None = None
        self.seconds: list[float] = []
        self.phase: dict[str, Any] = {}
        self.artefacts: list[str] = []
        self.final_file: Path | None = None  # once it is written
        self.samples: list[str] = []
        self.scan: Scan | None = None  # made before the run: its files need not be read again
        self.facts: dict[str, Any] = {}  # what else watchers see
        self.time = TimeSpent()
        self.sample_times = SampleTimes(config.sample)
        self.by_hand, self.seconds_by_hand = False, 0.0  # samples that somebody asked for, besides those that are due
        self.due_after: Callable[[int], dict[str, int]] = lambda step: {}  # what is still to do besides steps
        self.fault = NO_FAULT  # that somebody has to mend, and whether it is
        self.last_due: dict[str, int] = {}  # request -> the step at which the config made it
        self.postponed: set[str] = set()
        self._requests: set[str] = set()
        self._changed, self._written = threading.Condition(), 0.0
        self.status_file = BestEffortFile(folder / "status.json")
        self._writing = threading.Lock()  # the host reports from a thread of its own

    # what watchers call

    def request(self, request: str) -> None:
        """Ask for something; it takes effect at the next step. UserError where it makes no sense."""
        if request not in REQUESTS:
            raise UserError(f"A run cannot be asked to {request!r}; it can: {', '.join(REQUESTS)}.")
        if self.state in ENDED:
            raise UserError(f"The run {self.config.name} is {state_phrase(self.state, refusal_phrase(request))}.")
        with self._changed:
            if request == "resume":
                self._requests.discard("pause")
            else:
                self._requests.add(request)
            self._changed.notify_all()

    def snapshot(self) -> dict[str, Any]:
        """The run as JSON, in the words of the HTTP contract."""
        pace = self.pace()
        left = None if pace is None or not self.total_steps else max(0.0, self.seconds_left(pace))
        return {"id": self.config.name, "method": self.config.method, "state": self.state, "step": self.step,
                "total_steps": self.total_steps, "epoch": self.epoch, "epochs": self.epochs, "loss": self.loss,
                "seconds_per_step": pace, "eta_seconds": left, "message": self.waiting or self.drawing or self.message,
                "waiting": bool(self.waiting), "artefacts": list(self.artefacts), "samples": list(self.samples),
                "overhead": self.time.overhead(), "shares": self.time.shares(),
                "elapsed_seconds": self.time.elapsed(),
                "seconds_each": self.time.seconds_each(),
                "seconds_per_round_of_samples": self.time.latest.get("samples"), **self.phase, **self.facts,
                **({"drawing": self.drawing} if self.drawing else {})}

    def seconds_left(self, pace: float) -> float:
        """Seconds left: the remaining steps, and whatever is due between them and was timed once."""
        return (self.total_steps - self.step) * pace + seconds_due(self.due_after(self.step), self.time.seconds_each())

    def pace(self) -> float | None:
        """Median seconds of the last steps, or None."""
        recent = sorted(self.seconds[-30:])
        return recent[len(recent) // 2] if recent else None

    @contextmanager
    def spending(self, activity: str) -> Iterator[None]:
        """The time inside goes to `activity`."""
        with self.time.spending(activity):
            yield
        if activity == "samples" and self.by_hand:
            self.seconds_by_hand += self.time.latest[activity]

    def cancel(self) -> None:
        """The run was taken out of the queue: it has stopped, and can be put there again."""
        self.facts["cancelled"] = True
        self.set_state("stopped", "Stopped before it began.")
        self.close()

    # what the run calls

    def close(self) -> None:
        """The run has ended: its folder is free again, and a run that it would have replaced in vain is back."""
        self.time.end()
        if self.world.is_main_process:
            try:
                replaced_run.put_back(self.folder, self.message)
            finally:
                run_lock.release(self.folder)

    def set_state(self, state: str, message: str = "") -> None:
        self.state, self.message, self.waiting, self.phase = state, message, "", {}
        if message:
            (log.error if state == "failed" else log.info)("%s: %s", state, message)
        self.changed(at_once=True)

    def preparing(self, done: int, total: int, text: str) -> None:
        """Progress callback of everything before the first step; raises `Stopped` when a stop was asked for."""
        self.phase = {"phase": text, "phase_done": done, "phase_total": total}
        self.message = f"{text}: {done} of {total}" if total else text
        self.changed()
        if self.stop_requested():
            raise Stopped

    def report_model(self, model: LoadedModel) -> None:
        """Say which model (`loaded_model.LoadedModel`) is being trained."""
        self.facts |= {"model": model.name, "family": model.family.sd_version}

    def begin(self, step: int, total: int, epochs: int, due_after: Callable[[int], dict[str, int]] | None = None
              ) -> None:
        """The first step comes next: `step` of `total` are done already, and all of them are `epochs`.

        due_after(step): how often what takes time between steps is due after one, as `duration.due_after` says.
        """
        self.step, self.total_steps, self.epochs = step, total, epochs
        self.due_after = due_after or self.due_after
        self.set_state("training")

    def report(self, step: Step) -> None:
        self.step, self.epoch = step.number, step.epoch
        self.loss = step.loss if math.isfinite(step.loss) else None  # JSON has no NaN
        self.seconds = [*self.seconds[-29:], step.seconds]
        self.time.add("training", step.seconds)
        self.message = f"Steps skipped because the numbers overflowed: {step.skipped}" if step.skipped else ""
        self.changed()

    def wants(self, request: str, step: Step) -> bool:
        """Whether the run should do this now: asked for by somebody, or due by the config at this step.

        At the last step the final file is what would be saved. What is due is due once.
        """
        if request == "stop":
            return self.world.broadcast(self.stop_requested())
        if request == "pause":
            wanted = self.world.broadcast(self.requested("pause"))
            if not wanted and self.state == "paused":  # resumed while a sample or a file was made
                self.end_pause()
            return wanted
        if request in self.postponed and not self.requested("pause") and not self.stop_requested():
            self.postponed.discard(request)
            return True
        new, self.last_due[request] = self.last_due.get(request) != step.number, step.number
        if request == "sample":
            return self.wants_samples(step, new)
        return self.take_request(request) or new and due(self.config.save, step) and not step.last

    def wants_samples(self, step: Step, new: bool) -> bool:
        """new: whether what is due at this step was not drawn yet."""
        is_due = new and self.samples_are_due(step)
        asked = self.take_request("sample")
        self.by_hand = asked and not is_due
        return asked or is_due

    def samples_are_due(self, step: Step) -> bool:
        times, spent = self.sample_times, self.time.spent.get("samples", 0.0) - self.seconds_by_hand
        is_due = times.is_due(step, self.pace(), self.time.latest.get("samples"), spent)
        if (note := times.note()) and "samples_note" not in self.facts:
            self.facts["samples_note"] = note
            log.info("%s", note)
        return is_due

    def requested(self, request: str) -> bool:
        return request in self._requests

    def stop_requested(self) -> bool:
        """Whether the run is asked to end, in one of the ways of doing so."""
        return any(self.requested(request) for request in STOP_REQUESTS)

    def take_request(self, request: str) -> bool:
        with self._changed:
            requested = request in self._requests
            self._requests.discard(request)
            return requested

    def add_samples(self, files: Iterable[Path]) -> None:
        self.samples += [str(file) for file in files]
        self.changed(at_once=True)

    def add_artefact(self, file: Path) -> None:
        if str(file) not in self.artefacts:
            self.artefacts.append(str(file))
        self.changed(at_once=True)

    def report_final(self, file: Path) -> None:
        """The file that the run ends with is written; what goes with it may be still to come."""
        self.final_file = file
        self.add_artefact(file)

    def is_complete(self) -> bool:
        """Whether all steps are done and their file is written, so that who asks to stop comes too late. Processes
        beside the first write none.
        """
        written = self.final_file is not None or not self.world.is_main_process
        return written and 0 < self.step == self.total_steps

    def stay_paused(self) -> bool:
        """True while the run should stay paused; sleeps a little, so that it can be called in a loop.

        A sample or a file that is asked for interrupts this, not the pause.
        """
        reason, is_over = self.fault
        if self.state != "paused":
            self.set_state("paused", reason)
        with self._changed:
            self._changed.wait_for(
                lambda: not self.requested("pause") or self.stop_requested() or self.has_output_request(), timeout=0.2
            )
        if self.stop_requested() or is_over():
            self.take_request("pause")
        if not self.requested("pause"):
            self.end_pause()
        return self.requested("pause") and not self.has_output_request()

    def end_pause(self) -> None:
        self.fault = NO_FAULT
        self.set_state("training")

    def has_output_request(self) -> bool:
        return self.requested("sample") or self.requested("save")

    def pause_until(self, reason: str, is_over: Callable[[], bool], request: str = "") -> None:
        """Pause because of something that somebody has to mend; when `is_over()`, the run goes on by itself.

        request: "sample" or "save", which could not be done and is done then. A run that is asked to end does not wait
        for that: it would be asked for ever.
        """
        self.fault = reason, is_over
        if self.stop_requested():
            return
        if request:
            self.postponed.add(request)
        with self._changed:
            self._requests.add("pause")

    def is_paused_by_fault(self) -> bool:
        """Whether the run waits for somebody to mend something, and nobody has asked it to stop meanwhile."""
        return self.fault is not NO_FAULT and not self.stop_requested()

    def report_waiting(self, reason: str) -> None:
        """Say whom the run waits for ("a generation"), or nobody ("")."""
        self.waiting = f"waiting for {reason}" if reason else ""
        self.changed(at_once=True)

    def report_drawing(self, sentence: str) -> None:
        """Say since when the host draws a picture, or that it gets no further; "" when it is there."""
        self.drawing = sentence
        self.changed(at_once=not sentence)  # else who reads the status on disk would see it drawn for long

    def changed(self, at_once: bool = False) -> None:
        if not self.world.is_main_process:
            return
        if at_once or time.monotonic() - self._written > 2:
            self._written = time.monotonic()
            if self.folder.exists():
                with self._writing:
                    self.status_file.write(self.snapshot())
        if self.on_change:
            self.on_change(self)
