"""Something that takes a while, as its watchers see it: how far it is, how to stop it, and how it ended."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from lib_sdtune.errors import RunError, UserError
from lib_sdtune.failures import fault
from lib_sdtune.progress import Progress
from lib_sdtune.services.context import ServiceContext

log = logging.getLogger("sdtune")


class Stopped(Exception):
    """It was asked to stop; what is done stays."""


class Task:
    """state: waiting, working, done, stopped or failed. result: what the function returned, once it is done."""

    def __init__(self, text: str = "waiting") -> None:
        self.state, self.done, self.total, self.text, self.message = "waiting", 0, 0, text, ""
        self.result: Any = None
        self.stopping = False

    def start(self, function: Callable[[Progress], Any]) -> "Task":
        """`run` in a thread of its own."""
        threading.Thread(target=self.run, args=(function,), name="sdtune-task", daemon=True).start()
        return self

    def run(self, function: Callable[[Progress], Any]) -> None:
        """Call `function(progress)`; its errors become the state. progress(done, total, text) raises to stop."""
        try:
            self.progress(0, 0, self.text)
            self.result = function(self.progress)
            self.end("done")
        except Stopped as reason:
            self.end("stopped", str(reason))
        except (UserError, RunError) as error:
            self.end("failed", str(error))
        except Exception as error:
            log.exception("%s", self.text)
            self.end("failed", fault(error))

    def end(self, state: str, message: str = "") -> None:
        self.message = message  # first, so that nobody sees the end without its reason
        self.state = state

    def progress(self, done: int, total: int, text: str) -> None:
        self.state, self.done, self.total, self.text = "working", done, total, text
        if self.stopping:
            raise Stopped

    def stop(self) -> None:
        self.stopping = True

    def report_drawing(self, sentence: str) -> None:
        """Say since when a picture is drawn, or that it gets no further; "" when it is there."""
        self.message = sentence

    @property
    def live(self) -> bool:
        return self.state in ("waiting", "working")

    def snapshot(self) -> dict[str, Any]:
        return {"state": self.state, "done": self.done, "total": self.total, "text": self.text, "message": self.message}


class TaskService:
    """A service that has one `Task` at a time; `task` is the latest, None before the first."""

    def __init__(self, context: ServiceContext) -> None:
        self.context = context
        self.task: Task | None = None

    def status(self) -> dict[str, Any]:
        """{"work": how far the task is, or null}"""
        return {"work": self.task.snapshot() if self.task else None}

    def stop(self) -> dict[str, Any]:
        if self.task:
            self.task.stop()
        return self.status()

    def refuse_a_second(self, sentence: str) -> None:
        """UserError with that sentence while a task is on."""
        if self.task and self.task.live:
            raise UserError(sentence)
