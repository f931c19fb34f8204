"""run.log: what was said during a run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger("sdtune")


class RunLog(logging.FileHandler):
    """A log file that holds nothing up: a line that finds no room is lost here, and told on the console as ever."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """In place of a traceback on the console for every line."""

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def recorded(folder: Path) -> Iterator[None]:
    """run.log of the run folder gets what the `sdtune` logger says meanwhile."""
    if not folder.exists():
        yield
        return
    handler = RunLog(folder / "run.log", encoding="utf-8")
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
