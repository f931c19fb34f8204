"""The resume point and every other file of a run, written when they are due, and later where the disk is full or
refuses them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lib_sdtune.training import replaced_run, state
from lib_sdtune.training.control import Control
from lib_sdtune.training.disk_space import paused_where_refused
from lib_sdtune.training.optimizer_steps.optimizer_step import OptimizerStep
from lib_sdtune.training.results import Results
from lib_sdtune.training.resume_point import ResumePoint

T = TypeVar("T")


class Saver:
    """unsaved: whether the last resume point could not be written."""

    def __init__(self, resume_point: ResumePoint, results: Results, optimizer_step: OptimizerStep, control: Control
                ) -> None:
        self.resume_point, self.results, self.optimizer_step = resume_point, results, optimizer_step
        self.control, self.folder, self.unsaved = control, control.folder, False

    def is_due(self, step: int) -> bool:
        """Whether a resume point is to be written after this step."""
        every = self.results.config.save.state_every_n_steps
        return self.unsaved or bool(every and step % every == 0)

    def is_due_before_drawing(self, step: int) -> bool:
        """Whether one is to be written before samples are drawn after this step.

        A sampler may never come back, because of an extension or a stuck device, and then only killing helps. Where a
        state is large (`state.LARGE`: DreamBooth's) it is left to the settings how many steps are done again.
        """
        return bool(step) and self.bytes_of_state() < state.LARGE and not state.path_of(self.folder, step).exists()

    def save_state(self, step: int) -> None:
        """The resume point. Where it cannot be written the run pauses, with the last state kept, until it can."""
        with self.control.spending("saving"):
            self.unsaved = not self.fits(lambda: self.resume_point.save(step))
        if not self.unsaved:
            replaced_run.drop(self.folder)

    def fits(self, write: Callable[[], T], request: str = "", folder: Path | None = None) -> T | None:
        """What `write()` answers, or None with the run paused when the disk is full or refuses a file; `request`
        is made again then.

        folder: that of the files, where it is not the run's own.
        """
        return paused_where_refused(write, self.control, self.bytes_of_largest, request, folder or self.folder)

    def bytes_of_largest(self) -> int:
        """Bytes of the larger of the state and the final file."""
        return max(self.bytes_of_state(), self.results.method.disk_bytes()["file"])

    def bytes_of_state(self) -> int:
        return self.results.bytes_of_state(self.optimizer_step.bytes())
