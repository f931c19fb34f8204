"""When a run draws samples by itself: before the first step and at every tenth of the run, within a share of its time.

Whether a tenth is drawn may depend on the clock, what is learned never does: drawing changes nothing of a run.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it imports this file
    from lib_sdtune.training.step_result import Step

TENTHS = 10
MAX_SHARE = 0.15  # of the run's time, for steps and samples together


def due(settings: Any, step: "Step") -> bool:
    """Whether `every_n_steps` or `every_n_epochs` of a config section falls on this step, by their numbers alone."""
    every = 0 if settings.every_n_steps == "auto" else settings.every_n_steps
    by_step = every and step.number % every == 0
    by_epoch = settings.every_n_epochs and step.epoch_ends and step.epoch % settings.every_n_epochs == 0
    return bool(step.number and (by_step or by_epoch))


class SampleTimes:
    """Of a run of `total` steps. round_in_steps: what all prompts together cost once, in optimizer steps, estimated."""

    def __init__(self, settings: Any, total: int = 0, round_in_steps: float = 0.0):
        self.settings, self.total, self.round_in_steps = settings, total, round_in_steps
        self.auto = settings.every_n_steps == "auto" and not settings.every_n_epochs
        self.end_is_kept = False  # whether what was spent so far left the time for the last samples
        self.tenths = {round(number * total / TENTHS): number for number in range(TENTHS + 1)} if total else {}

    def is_planned(self, step: "Step") -> bool:
        """Whether samples may be due, whatever they cost."""
        return step.number in self.tenths or step.last if self.auto else due(self.settings, step)

    def is_due(self, step: "Step", seconds_per_step: float | None, seconds_per_round: float | None,
               spent: float) -> bool:
        """Whether samples are due. The seconds are measured, None before that; spent: on the samples so far."""
        if not self.auto or not self.is_planned(step):
            return self.is_planned(step)
        cost = self.round_in_steps
        if seconds_per_step and seconds_per_round:
            cost = seconds_per_round / seconds_per_step
        tenth = self.tenths.get(step.number, TENTHS)  # a run may end before its longest
        at_end = tenth == TENTHS
        if at_end and self.end_is_kept:
            return True  # also where steps became quicker since, or samples slower
        if seconds_per_step and spent / seconds_per_step + (cost if at_end else 2 * cost) > self.budget:
            return False
        chosen = is_chosen(tenth, self.rounds(cost))
        self.end_is_kept |= chosen and bool(seconds_per_step)
        return chosen

    @property
    def budget(self) -> float:
        """What may be spent on samples, in steps."""
        return self.total * MAX_SHARE / (1 - MAX_SHARE)

    def rounds(self, cost: float | None = None) -> int:
        """How often the samples are drawn in all; cost: of a round, in steps, or else as estimated."""
        cost = self.round_in_steps if cost is None else cost
        return min(TENTHS + 1, int(self.budget / cost)) if cost > 0 else 0


def is_chosen(tenth: int, rounds: int) -> bool:
    """Whether a tenth (0 to 10) is among `rounds` of them that lie evenly; the end goes before the beginning."""
    if rounds < 2:
        return rounds == 1 and tenth == TENTHS
    gaps = rounds - 1
    return tenth == 0 or tenth * gaps // TENTHS > (tenth - 1) * gaps // TENTHS
