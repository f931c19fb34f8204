"""What a run warns of, for those who watch it: a user of the tab sees no log."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lib_sdtune.training.control import Control

MAX_NOTES = 8
log = logging.getLogger("sdtune")


class Notes(logging.Handler):
    """A list of the warnings that the making thread logs, each once; `summary()` is what to show of them."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self.thread, self.changed = threading.get_ident(), changed
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.levelno == logging.WARNING and record.thread == self.thread and line not in self.lines:
            self.lines.append(line)
            self.changed()

    def summary(self) -> list[str]:
        more = len(self.lines) - MAX_NOTES
        return self.lines[:MAX_NOTES] + (
            [f"And {more} more; run.log in the run's folder has all of them."] if more > 0 else []
        )


@contextmanager
def noted(control: Control) -> Iterator[None]:
    """`control.facts["notes"]` follows what is warned of inside."""
    def changed() -> None:
        control.facts["notes"] = handler.summary()
        control.changed()

    handler = Notes(changed)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
