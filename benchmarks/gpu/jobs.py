"""Cases and checks one after the other, within a time that is kept even where one of them hangs."""

import gc
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.gpu.models import CannotBeHad
from benchmarks.gpu.report import Report
from lib_sdtune.devices import empty_cache
from lib_sdtune.errors import TooLittleMemory
from lib_sdtune.training.memory.frames import free_frames

NO_TIME = "no time was left"
MARGIN = 15  # seconds before the end at which what still runs is broken off

Job = Callable[[Path], None]


class Jobs:
    """Calls jobs with an empty folder each; `report` hears what they could not do. minutes: that all may take."""

    def __init__(self, report: Report, device: torch.device, minutes: float) -> None:
        self.report, self.device = report, device
        self.deadline = time.monotonic() + 60 * minutes - MARGIN
        self.waiting: list[str] = []  # names of those whose turn has not come
        self.current, self.folder = "", Path()

    def left(self) -> float:
        """Seconds."""
        return self.deadline - time.monotonic()

    def run(self, name: str, job: Job) -> None:
        """One job, of which nothing is on the device then. What it cannot have is left out; JobFailed for the rest."""
        if name in self.waiting:
            self.waiting.remove(name)
        if self.left() <= 0:
            self.report.leave_out(f"{name} ({NO_TIME})")
            return
        self.current = name
        try:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows: what is mapped stays
                self.folder = Path(folder)
                job(self.folder)
        except Exception as error:
            text = reason(error)
            if not cannot_be_had(error):
                raise JobFailed(text) from None
            self.report.leave_out(f"{name} ({text})")
        finally:
            self.current = ""
            gc.collect()
            empty_cache(self.device)

    @contextmanager
    def ending_in_time(self) -> Iterator[None]:
        """Inside, the program ends by itself when its time is over, also where a job waits for something for ever."""
        timer = threading.Timer(max(0.0, self.left()) + MARGIN / 3, self.break_off)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def break_off(self) -> None:
        unfinished = [f"{self.current} (its time was over)"] if self.current else []
        for name in [*unfinished, *(f"{name} ({NO_TIME})" for name in self.waiting)]:
            self.report.leave_out(name)
        status = self.report.end()
        if self.current:
            shutil.rmtree(self.folder, ignore_errors=True)
        end_program(status)


class JobFailed(Exception):
    """A job raised what it should not have; in a line."""


def end_program(status: int) -> None:
    """At once: nothing else ends a thread that waits for a GPU."""
    os._exit(status)


def cannot_be_had(error: BaseException) -> bool:
    """Whether it is the device, too small or of another kind, and no fault."""
    return isinstance(error, TooLittleMemory | CannotBeHad)


def reason(error: Exception) -> str:
    """Why there are no figures, in a line; what the error holds on the device is let go of."""
    text = str(error) if isinstance(error, CannotBeHad) else f"{type(error).__name__}: {error}"
    free_frames(error)
    return text.split("\n")[0]
