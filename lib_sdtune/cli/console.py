"""What the command line shows while it works. All of it goes to stdout, so that stderr holds nothing but errors."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from lib_sdtune.training.control import Control

WIDTH = 30


@contextmanager
def speak(logger: logging.Logger) -> Iterator[None]:
    """Show what the package logs; a run's failure is left to the sentence on stderr. Of processes that train together
    the first one speaks for all, but for warnings.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # names in any script, on consoles that cannot show them
    handler = logging.StreamHandler(sys.stdout)
    handler.setLevel(logging.INFO if is_main_process() else logging.WARNING)
    handler.addFilter(lambda record: record.levelno < logging.ERROR)
    handler.setFormatter(Clear("%(message)s"))
    before, inherits = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = inherits


def is_main_process() -> bool:
    """Whether this is the first of the processes that torchrun started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


class Output:
    """Standard output that goes on after its reader has gone (`list presets | head`): a run is not lost for that."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        with quiet_after(self.stream):
            return self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with quiet_after(self.stream):
            self.stream.flush()


@contextmanager
def quiet_after(stream: TextIO) -> Iterator[None]:
    """Where nobody reads the stream any more, what follows goes nowhere."""
    try:
        yield
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def enduring_output() -> Iterator[None]:
    """Inside, `sys.stdout` is an `Output`."""
    stream = sys.stdout
    sys.stdout = Output(stream)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout = stream


class Clear(logging.Formatter):
    """Wipes the progress line away before a message is written over it."""

    def format(self, record: logging.LogRecord) -> str:
        return wipe() + super().format(record)


def wipe() -> str:
    return "\r\x1b[K" if sys.stdout.isatty() else ""


class Bar:
    """One line that is written over and over on a terminal, and a line now and then anywhere else."""

    def __init__(self) -> None:
        self.drawn_at, self.terminal = 0.0, sys.stdout.isatty()
        self.last: tuple[str, bool] | None = None  # label drawn, and whether it was the end

    def draw(self, done: int, total: int, label: str, details: str = "") -> None:
        """`label` is what is being done; `details` stand behind the counts."""
        now, pause = time.monotonic(), 0.1 if self.terminal else 15.0
        step = (label, done >= total)  # a new label and the end are always shown, once
        if step == self.last and (step[1] or now - self.drawn_at < pause):
            return
        self.drawn_at, self.last = now, step
        filled = round(WIDTH * min(done, total) / total) if total else 0
        line = f"{label} [{'#' * filled}{'-' * (WIDTH - filled)}] {done}/{total} {details}" if total else label
        print(f"{wipe()}{line.rstrip()[:119]}", end="" if self.terminal else "\n", flush=True)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error: object) -> None:
        print(wipe(), end="", flush=True)

    def progress(self, done: int, total: int, text: str) -> None:
        """As the package's `progress(done, total, text)` callbacks are called."""
        self.draw(done, total, text)

    def run(self, control: "Control") -> None:
        """As `Control.on_change`: the run's own words before the first step, the steps after it."""
        phase = control.phase
        if phase.get("phase_total"):
            self.draw(phase["phase_done"], phase["phase_total"], phase["phase"])
        elif control.state == "training" and control.step:
            loss = "" if control.loss is None else f"loss {control.loss:.4f}"
            self.draw(control.step, control.total_steps, "training", f"{loss} {speed(control)}".strip())


def speed(control: "Control") -> str:
    now = control.snapshot()
    if not now["seconds_per_step"]:
        return ""
    return f"{now['seconds_per_step']:.2f} s/step {clock(now['eta_seconds'])} left"


def clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
