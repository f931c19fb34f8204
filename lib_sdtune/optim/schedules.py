"""The schedules of the learning rate by name: one entry each. The names are sd-scripts' and transformers', and so are
the shapes (transformers/optimization.py).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

SETTINGS = {"cycles": "lr_scheduler_num_cycles", "power": "lr_scheduler_power",
            "min_lr_ratio": "lr_scheduler_min_lr_ratio", "decay": "lr_decay_steps",
            "timescale": "lr_scheduler_timescale"}
"""What a schedule can be shaped by -> the setting of "train" that says it."""


@dataclass(frozen=True)
class Place:
    """Where in a run the rate is asked for: `step` of `total`, counted from 0, after a warm-up of `warmup` steps.

    min_lr_ratio: the share of the rate at the end. decay: for how many steps at the end it falls. timescale: of
    inverse_sqrt, 0: the warm-up, or 10,000 without one.
    """

    step: int
    total: int
    warmup: int = 0
    cycles: int = 1
    power: float = 1.0
    min_lr_ratio: float = 0.0
    decay: int = 0
    timescale: int = 0

    @property
    def progress(self) -> float:
        """0 after the warm-up, 1 at the end."""
        return min(1.0, (self.step - self.warmup) / max(1, self.total - self.warmup))


@dataclass(frozen=True)
class Schedule:
    """factor: place -> what the rate is multiplied by there, in 0..1, once the warm-up is over. reads: the keys of
    `SETTINGS` that it is shaped by. takes_warmup: whether the rate rises from 0 before it.
    """

    factor: Callable[[Place], float]
    reads: tuple[str, ...] = ()
    takes_warmup: bool = True


def level(place: Place) -> float:
    return 1.0


def polynomial(place: Place) -> float:
    return max(0.0, 1 - place.progress) ** place.power


def linear(place: Place) -> float:
    return max(0.0, 1 - place.progress)


def cosine(place: Place) -> float:
    return half_cosine(place.progress)


def cosine_with_restarts(place: Place) -> float:
    return half_cosine(place.progress * place.cycles % 1.0) if place.progress < 1 else 0.0


def cosine_with_min_lr(place: Place) -> float:
    return above(place.min_lr_ratio, half_cosine(place.progress * place.cycles))


def warmup_stable_decay(place: Place) -> float:
    """Level, and down at the end."""
    fallen = min(1.0, max(0, place.step - (place.total - place.decay)) / max(1, place.decay))
    return above(place.min_lr_ratio, half_cosine(fallen * place.cycles)) if place.step < place.total \
        else place.min_lr_ratio


def inverse_sqrt(place: Place) -> float:
    scale = place.timescale or place.warmup or 10_000
    return (scale / (place.step - place.warmup + scale)) ** 0.5


def rex(place: Place) -> float:
    """Chen et al. 2021, arXiv 2107.04197."""
    return (1 - place.progress) / (0.5 + 0.5 * (1 - place.progress))


def half_cosine(progress: float) -> float:
    """From 1 down to 0 at 1."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def above(least: float, factor: float) -> float:
    """A factor of 0..1 as one of least..1."""
    return least + (1 - least) * factor


SCHEDULES = {
    "constant": Schedule(level, takes_warmup=False),
    "constant_with_warmup": Schedule(level),
    "linear": Schedule(linear),
    "cosine": Schedule(cosine),
    "cosine_with_restarts": Schedule(cosine_with_restarts, ("cycles",)),
    "polynomial": Schedule(polynomial, ("power",)),
    "cosine_with_min_lr": Schedule(cosine_with_min_lr, ("cycles", "min_lr_ratio")),
    "warmup_stable_decay": Schedule(warmup_stable_decay, ("cycles", "min_lr_ratio", "decay")),
    "inverse_sqrt": Schedule(inverse_sqrt, ("timescale",)),
    "rex": Schedule(rex),
}
