"""log.csv: one row per step, flushed at once, and cut back to the state when a run resumes."""

import csv
import math
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from lib_sdtune.formats.events import Events
from lib_sdtune.formats.files import atomic

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
CURVES = ("loss", "lr", "grad_norm", *MEASURED)


class Log:
    """Appends rows, and the curves among them to files for TensorBoard.

    `rows`: those with a validation loss; `last`: the one of the step that is resumed from. writes: whether this process
    does; of several that train together (`training.parallel`) the first one alone may, or they would write over each
    other.
    """

    def __init__(self, folder: Path, resume_from: int = 0, writes: bool = True):
        self.path = Path(folder) / "log.csv"
        self.file: TextIO | None = None
        self.rows: list[dict[str, Any]] = []
        self.last: dict[str, Any] = {}
        if not writes:
            return
        rows = [row for row in read(self.path) if row["step"] <= resume_from] if resume_from else []
        with atomic(self.path) as unfinished, open(unfinished, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")  # earlier versions had other columns
            writer.writeheader()
            writer.writerows(rows)
        self.file = open(self.path, "a", newline="", encoding="utf-8")  # noqa: SIM115 - closed by close()
        self.writer = csv.DictWriter(self.file, COLUMNS, extrasaction="ignore")
        self.last = rows[-1] if rows else {}
        self.rows = [row for row in rows if row.get("val_loss") is not None]
        self.events = Events(Path(folder) / "tensorboard", resume_from)

    def write(self, row: dict[str, Any]) -> None:
        """`row` maps column names to numbers; missing columns stay empty."""
        self.writer.writerow({key: round_off(value) for key, value in row.items()})
        if self.file:
            self.file.flush()
        if row.get("val_loss") is not None:
            self.rows.append(row)
        with suppress(OSError):  # a full disk pauses the run where it matters
            self.events.scalars(row["step"], {key: row[key] for key in CURVES if row.get(key) is not None})

    def close(self) -> None:
        if self.file is None:
            return
        self.file.close()
        with suppress(OSError):
            self.events.close()


def round_off(value: Any) -> Any:
    """Six digits; an empty cell for what is not a number."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def read(path: Path, since: int = 0) -> list[dict[str, Any]]:
    """Rows after step `since` as dicts of numbers; None for empty cells. A row cut off by a crash is left out."""
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
