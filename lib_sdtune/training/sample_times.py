"""When a run draws samples by itself: before the first step and at every tenth of the run, within a share of its time.

Whether a tenth is drawn may depend on the clock, what is learned never does: drawing changes nothing of a run.
"""

from typing import Any

from lib_sdtune.training.step_result import Step

TENTHS = 10
MAX_SHARE = 0.15  # of the run's time, for steps and samples together


def due(settings: Any, step: Step) -> bool:
    """Whether `every_n_steps` or `every_n_epochs` of a config section falls on this step, by their numbers alone."""
    every = 0 if settings.every_n_steps == "auto" else settings.every_n_steps
    by_step = every and step.number % every == 0
    by_epoch = settings.every_n_epochs and step.epoch_ends and step.epoch % settings.every_n_epochs == 0
    return bool(step.number and (by_step or by_epoch))


class SampleTimes:
    """Of a run of `total` steps. round_in_steps: what all prompts together cost once, in optimizer steps, estimated.
    done: the steps of earlier tries, whose share of the time is theirs.
    """

    def __init__(self, settings: Any, total: int = 0, round_in_steps: float = 0.0, done: int = 0) -> None:
        self.settings, self.total, self.round_in_steps, self.done = settings, total, round_in_steps, done
        self.auto = settings.every_n_steps == "auto" and not settings.every_n_epochs
        # whether what was spent so far left the time for the last samples
        self.end_is_kept = self.auto and done > 0 and self.rounds() > 0
        self.drawn = 0  # how often, for as long as no step's time is known
        self.leaves_out = False  # whether a tenth was not drawn because of the time
        self.tenths = {round(number * total / TENTHS): number for number in range(TENTHS + 1)} if total else {}
        # a tenth; the one that a run goes on at may have been drawn, or not
        self.last_drawn = (TENTHS * done - 1) // total if done else None

    def is_planned(self, step: Step) -> bool:
        """Whether samples may be due, whatever they cost."""
        return step.number in self.tenths or step.last if self.auto else due(self.settings, step)

    def is_due(self, step: Step, seconds_per_step: float | None, seconds_per_round: float | None,
               spent: float) -> bool:
        """Whether samples are due. The seconds are measured, None before that; spent: on those that were due so far."""
        if not self.auto or not self.is_planned(step):
            return self.is_planned(step)
        cost = self.round_in_steps
        if seconds_per_step and seconds_per_round:
            cost = seconds_per_round / seconds_per_step
        tenth = self.tenths.get(step.number, TENTHS)  # a run may end before its longest
        left = self.budget * (1 - self.done / self.total) if self.total else 0.0
        left -= spent / seconds_per_step if seconds_per_step else self.drawn * cost
        rounds = int(left / cost) if cost > 0 and left > 0 else 0
        if tenth == TENTHS:  # also where steps became quicker since, or samples slower
            return self.end_is_kept or rounds > 0
        chosen = is_chosen(tenth, self.last_drawn, rounds)
        self.end_is_kept |= chosen and bool(seconds_per_step)
        self.leaves_out |= not chosen
        if chosen:
            self.last_drawn, self.drawn = tenth, self.drawn + 1
        return chosen

    def note(self) -> str:
        """What to say of tenths that are left out, or ""."""
        return (f"Samples are drawn at fewer than every tenth of the run, because all of them would take more than "
                f"{100 * MAX_SHARE:.0f} % of the time.") if self.leaves_out else ""

    @property
    def budget(self) -> float:
        """What may be spent on samples, in steps."""
        return self.total * MAX_SHARE / (1 - MAX_SHARE)

    def rounds(self, cost: float | None = None) -> int:
        """How often the samples are drawn in all; cost: of a round, in steps, or else as estimated."""
        cost = self.round_in_steps if cost is None else cost
        return min(TENTHS + 1, int(self.budget / cost)) if cost > 0 else 0


def is_chosen(tenth: int, last_drawn: int | None, rounds: int) -> bool:
    """Whether a tenth before the end is drawn where there is time for `rounds` more, one of which is the end's.

    They lie evenly over what is left, sooner rather than later: at the beginning a run changes most.
    """
    if rounds < 2:
        return False
    return last_drawn is None or tenth - last_drawn >= max(1, (TENTHS - last_drawn) // rounds)
