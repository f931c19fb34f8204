"""log.csv: one row per step, written at once, on the disk before the state, and cut back to it when a run resumes.

Where it cannot be written, because a spreadsheet has it open, say, its rows wait, and the run goes on.
"""

import csv
import io
import logging
import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from lib_sdtune.errors import RunError, system_reason
from lib_sdtune.formats.files import atomic, is_full, sync
from lib_sdtune.training.tensorboard import Curves

log = logging.getLogger("sdtune")
TRY_EVERY = 5.0  # seconds between two tries to open a file that was refused

# on held-out pictures, trained ones, and class pictures; see `training.validation`
MEASURED = ["val_loss", "fit_loss", "class_loss"]
COLUMNS = [
    "step",
    "epoch",
    "loss",
    "lr",
    "seconds",
    *MEASURED,
    "grad_norm",
    "skipped",
    "val_q1",
    "val_q2",
    "val_q3",
    "val_q4",
]


class LogCsv:
    """Appends rows, and the curves among them to files for TensorBoard.

    `rows`: those with a measured loss; `last`: the one of the step that is resumed from. writes: whether this process
    does; of several that train together (`training.parallel`) the first one alone may, or they would write over each
    other.
    """

    def __init__(self, folder: Path, resume_from: int = 0, writes: bool = True) -> None:
        self.path = Path(folder) / "log.csv"
        self.file: BinaryIO | None = None
        self.unwritten = b""  # rows, or the end of one, that found no room yet
        self.rows: list[dict[str, Any]] = []
        self.last: dict[str, Any] = {}
        self.writes, self.resume_from, self.begun = writes, resume_from, False
        self.next_try, self.warned = 0.0, False
        if not writes:
            return
        self.flush()
        with suppress(OSError):
            rows = self.earlier_rows()
            self.last = rows[-1] if rows else {}
            self.rows = [row for row in rows if is_measured(row)]
        self.curves = Curves(Path(folder) / "tensorboard", resume_from)

    def earlier_rows(self) -> list[dict[str, Any]]:
        """Those up to the step that is resumed from."""
        return [row for row in read(self.path) if row["step"] <= self.resume_from] if self.resume_from else []

    def open(self) -> BinaryIO:
        """The file, cut back to the state the first time. OSError, RunError."""
        rows = [] if self.begun else self.earlier_rows()
        if rows:
            with atomic(self.path, patience=0) as unfinished:
                unfinished.write_bytes(lines(None, *rows))  # earlier versions had other columns
        file = open(self.path, "ab" if self.begun or rows else "wb", buffering=0)  # noqa: SIM115 - closed by close()
        self.unwritten = (b"" if self.begun or rows else lines(None)) + self.unwritten
        self.begun = True
        return file

    def write(self, row: dict[str, Any]) -> None:
        """`row` maps column names to numbers; missing columns stay empty."""
        cells = {column: cell(column, value) for column, value in row.items()}
        self.unwritten += lines(cells)
        self.flush()
        if is_measured(cells):
            self.rows.append(cells)
        with suppress(OSError):  # a full disk pauses the run where it matters
            self.curves.write(row)

    def flush(self) -> None:
        """Write the rows that wait. Where the disk is full, or refuses the file, they go on waiting."""
        if not self.writes or self.file is None and time.monotonic() < self.next_try:
            return
        try:
            self.file = self.file or self.open()
            while self.unwritten:
                self.unwritten = self.unwritten[self.file.write(self.unwritten) :]
        except (OSError, RunError) as error:
            self.next_try = time.monotonic() + TRY_EVERY
            if not is_full(error):  # of a full disk the run itself speaks, when it pauses at its next state
                self.let_go()
                self.tell(error)

    def let_go(self) -> None:
        """Give up the open file: on a network drive that was away, a new one is needed."""
        if self.file is not None:
            with suppress(OSError):
                self.file.close()
        self.file = None

    def tell(self, error: OSError | RunError) -> None:
        """Say once that rows wait."""
        if not self.warned:
            self.warned = True
            log.warning("%s cannot be written. Close the program that has it open before the run ends: until then its "
                        "rows wait, and the run goes on. %s", self.path, system_reason(error))

    def close(self) -> None:
        if not self.writes:
            return
        self.next_try = 0.0
        self.flush()
        if self.unwritten and self.warned:
            log.warning("The last rows of %s are not in it: it could not be written to the end.", self.path)
        self.let_go()
        with suppress(OSError):
            self.curves.close()


def sync_rows(folder: Path) -> None:
    """The rows of a run folder's log are on the disk, as the state that is written next counts on them."""
    with suppress(OSError):  # a full disk, on which they wait, pauses the run at the state
        sync(folder / "log.csv")


def is_measured(row: dict[str, Any]) -> bool:
    return any(row.get(column) is not None for column in MEASURED)


def lines(*rows: dict[str, Any] | None) -> bytes:
    """As they stand in the file; None is the line of the columns' names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    for row in rows:
        writer.writeheader() if row is None else writer.writerow(row)
    return text.getvalue().encode()


def cell(column: str, value: Any) -> Any:
    """Six digits. What is not finite is infinite where it was measured, and an empty cell where it is a step's own."""
    if not isinstance(value, float):
        return value
    if math.isfinite(value):
        return float(f"{value:.6g}")
    return math.inf if column in MEASURED else None


def read(path: Path, since: int = 0) -> list[dict[str, Any]]:
    """Rows after step `since` as dicts of numbers; None for empty cells, infinity for a measurement that overflowed. A
    row cut off by a crash is left out.
    """
    if not Path(path).exists():
        return []
    rows = []
    with suppress(csv.Error), open(path, newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            try:
                numbers = {key: number(text) for key, text in row.items() if key}
            except (TypeError, ValueError):
                continue
            step = numbers.get("step")
            if step is not None and step > since:
                rows.append(numbers)
    return rows


def number(text: str) -> float | None:
    if text == "":
        return None
    value = float(text)
    return int(value) if value.is_integer() and "." not in text and "e" not in text else value
