"""A run's curves for TensorBoard, which gives each folder (a "run" there) one colour; no file can say which.

Losses that are measured share a chart, as in the tab's plot: one tag in a folder each, so that no two of them have
one colour. The folders are called as the report calls the curves.
"""

from collections.abc import Mapping
from pathlib import Path

from lib_sdtune.formats.events import Events

OF_A_STEP = ("loss", "lr", "grad_norm")
MEASURED = {"val_loss": "kept aside", "fit_loss": "trained", "class_loss": "class"}  # column of the log -> folder
TAG = "measured loss"


class Curves:
    """Appends a log's rows to event files in `folder`, each of which is made at its first number."""

    def __init__(self, folder: Path, resume_from: int = 0) -> None:
        self.of_a_step = Events(folder, resume_from)
        self.measured = {column: Events(folder / name, resume_from) for column, name in MEASURED.items()}

    def write(self, row: Mapping[str, float | None]) -> None:
        step = int(row["step"] or 0)
        self.of_a_step.scalars(step, {key: value for key in OF_A_STEP if (value := row.get(key)) is not None})
        for column, events in self.measured.items():
            if (value := row.get(column)) is not None:
                events.scalars(step, {TAG: value})

    def close(self) -> None:
        for events in (self.of_a_step, *self.measured.values()):
            events.close()
