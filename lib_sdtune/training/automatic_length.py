"""The length of a run that nobody has to guess: it ends when what is measured has stopped improving.

Early stopping with patience (Prechelt 1998, "Early stopping - but when?"). Measured is the loss at fixed noise and
fixed timesteps (`validation.py`): that of pictures kept aside where there are any, else that of the trained ones. Where
the schedule is warmup_stable_decay, the rate falls from the moment at which the loss has stopped, and the run ends when
it is down (Hu et al. 2024, arXiv 2404.06395).

Everything follows from the measurements in the log, so a resumed run ends at the same step with the same file.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lib_sdtune.config import Config
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.methods.base import Method
from lib_sdtune.optim.schedule import reads
from lib_sdtune.sections.train import TrainConfig

MEASUREMENTS = 20  # of the longest run, spread evenly
MIN_MEASUREMENTS = 4  # before a run may end
PATIENCE = 3  # measurements in a row that bring no improvement
MIN_IMPROVEMENT = 0.02  # of how far the loss has fallen so far; less is no improvement
log = logging.getLogger("sdtune")
Point = tuple[int, float]  # a step, and the loss that was measured after it


def measured_every(config: Config, longest: int) -> int:
    """Steps from one measurement to the next; 0: at the end of every epoch. longest: steps of the longest run."""
    every = config.validation.every_n_steps
    return max(1, longest // MEASUREMENTS) if config.train.stop == "auto" and not every else every


def points(rows: Sequence[Mapping[str, Any]]) -> list[Point]:
    """The measurements among log rows."""
    key = "val_loss" if any(row.get("val_loss") is not None for row in rows) else "fit_loss"
    return [(row["step"], row[key]) for row in rows if row.get(key) is not None]


def stalled(measurements: Sequence[Point]) -> int | None:
    """The step at which the loss had stopped improving; None while it has not."""
    if not measurements:
        return None
    first = lowest = best = measurements[0][1]
    without = 0
    for number, (step, loss) in enumerate(measurements[1:], 2):
        improved = loss < best - MIN_IMPROVEMENT * (first - lowest)
        best, without = (loss, 0) if improved else (best, without + 1)
        lowest = min(lowest, loss)
        if without >= PATIENCE and number >= MIN_MEASUREMENTS:
            return step
    return None


class AutomaticLength:
    """When a run ends, and which of its steps becomes its file. longest: steps that it takes at most."""

    def __init__(self, train: TrainConfig, folder: Path, longest: int) -> None:
        self.train, self.path, self.longest = train, folder / "best.safetensors", longest

    @property
    def is_automatic(self) -> bool:
        return self.train.stop == "auto"

    def total(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Steps of the run, as far as the measurements in `rows` of the log tell."""
        end = stalled(points(rows)) if self.is_automatic else None
        return self.longest if end is None else min(self.longest, end + self.decay)

    @property
    def decay(self) -> int:
        """Steps in which the rate falls once the loss has stopped."""
        return self.train.lr_decay_steps if reads(self.train.lr_scheduler, "decay") else 0

    def is_best(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the last measurement is the best one so far."""
        measurements = points(rows) if self.is_automatic else []
        *earlier, (_, last) = measurements or [(0, math.inf)]
        return math.isfinite(last) and all(loss > last for _, loss in earlier)

    def keep(self, method: Method, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write what has been learned by the last measurement in `rows`, the best one so far."""
        if method.goes_back:
            step, loss = points(rows)[-1]
            safetensors.write(self.path, method.tensors(), {"step": str(step), "loss": repr(loss)})

    def go_back(self, method: Method, step: int, rows: Sequence[Mapping[str, Any]]) -> int:
        """Take over the best step's values, where `step` is not as good; the step whose values the method has now.

        Values that were not measured as a row of `rows` says are of another run, or of steps that were done again.
        """
        if not self.is_automatic or not method.goes_back or not self.path.exists():
            return step
        stored = safetensors.Stored(self.path)
        best = int(stored.metadata["step"])
        measured = dict(points(rows)).get(best)
        if measured is None or float(stored.metadata.get("loss", measured)) != measured:  # earlier versions wrote none
            log.warning("The values in %s are of no step that this run has measured, so they are left aside; the file "
                        "is that of the last step, %d.", self.path.name, step)
            return step
        if best < step:
            method.load_tensors(stored)
        return min(best, step)

    def sentence(self, rows: Sequence[Mapping[str, Any]], last: int, step: int) -> str:
        """Why the run ended at its last step, and of which `step` its file is; "" where its length was set."""
        if not self.is_automatic:
            return ""
        end = stalled(points(rows))
        why = (f"The loss was still improving at the last step, {last:,}; more steps may help." if end is None else
               f"Ended by itself at step {last:,}: from step {end:,} on the loss no longer improved.")
        return f"{why} The file is that of step {step:,}, the best one." if step < last else why
