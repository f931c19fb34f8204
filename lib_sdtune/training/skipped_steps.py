"""Steps that changed nothing: their numbers overflowed, or nothing that learns took part in them.

They are counted, told, and end a run that has no others.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from lib_sdtune.errors import RunError
from lib_sdtune.training.step_result import StepResult

MAX_IN_A_ROW = 10
log = logging.getLogger("sdtune")


class SkippedSteps:
    """reason(result, applied): in sentences, which side is at fault for the numbers of a step, after so many that were
    applied.

    skipped: how many steps overflowed, of them `in_a_row` just now. without_path: in how many nothing that learns took
    part. applied: how many changed something.
    """

    def __init__(self, reason: Callable[[StepResult, int], str]) -> None:
        self.reason = reason
        self.skipped, self.in_a_row, self.without_path, self.applied = 0, 0, 0, 0
        self.last: StepResult | None = None

    def note(self, result: StepResult, finite: bool, excused: bool) -> None:
        """excused: only the loss scale was too large. RunError after too many steps in a row that overflowed."""
        if finite:
            self.in_a_row, self.applied = 0, self.applied + result.learned
        elif not excused:
            self.last, self.skipped, self.in_a_row = result, self.skipped + 1, self.in_a_row + 1
        if self.in_a_row >= MAX_IN_A_ROW:
            raise RunError(
                f"{MAX_IN_A_ROW} steps in a row gave numbers that overflowed, so the run stopped at step "
                f"{result.number}; what was saved before is kept. {self.reason(result, self.applied)}"
            )
        if result.micro_batches and not result.learned:
            self.note_without_path(result)

    def note_without_path(self, result: StepResult) -> None:
        self.without_path += 1
        if self.without_path == 1:
            names = ", ".join(sorted({example.picture.path.name for example in result.examples})[:3])
            log.warning(
                "Nothing that learns takes part in step %d (%s): it is left out, and so are others like it. "
                "Do their captions say the word?", result.number, names
            )

    def refuse_if_nothing_learned(self, total: int) -> None:
        """RunError where none of all `total` steps changed anything."""
        if total and self.skipped >= total and self.last:
            raise RunError("No step could be applied because the numbers overflowed each time. "
                           f"{self.reason(self.last, self.applied)}")
        if total and self.without_path >= total:
            raise RunError("Nothing that learns took part in any step, so nothing was learned. "
                           "Do the captions say the word?")
        if self.without_path:
            log.warning("%d of %d steps were left out, because nothing that learns took part in them.",
                        self.without_path, total)

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over the counts of a resume point."""
        self.skipped, self.without_path = state["skipped"], state.get("without_path", 0)
        self.applied = state["step"] - self.skipped - self.without_path
