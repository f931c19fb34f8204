"""run.log: what was said during a run."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger("sdtune")
WATCHDOG = "sdtune-progress"  # the thread that says that a picture of this run gets no further


class RunLog(logging.FileHandler):
    """A log file that holds nothing up: a line that finds no room is lost here, and told on the console as ever."""

    def handleError(self, record: logging.LogRecord) -> None:
        """In place of a traceback on the console for every line."""

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def recorded(folder: Path) -> Iterator[None]:
    """run.log of the run folder gets what the `sdtune` logger says meanwhile in this thread; others speak of other
    things.
    """
    if not folder.exists():
        yield
        return
    handler = RunLog(folder / "run.log", encoding="utf-8")
    own_thread = threading.get_ident()
    handler.addFilter(lambda record: record.thread == own_thread or record.threadName == WATCHDOG)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        handler.close()
