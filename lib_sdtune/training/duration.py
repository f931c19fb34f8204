"""How long a run takes: its steps, and what is due between them. Pure arithmetic."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib_sdtune.config import Config
from lib_sdtune.training.sample_times import TENTHS

SAME, OTHER_OPTIONS, OTHER_METHOD = 1.15, 1.4, 1.8  # how far an estimate may be off, upwards or downwards
SCALED = 0.3  # the power of the ratio of pixels by which it may be off besides: small steps are bound by launches


def due_after(config: Config, step: int, total: int, steps_per_epoch: int, validates: bool,
              rounds: int = TENTHS) -> dict[str, int]:
    """{"samples", "validation", "saving"}: how often each is due after `step` up to the last of `total` steps.

    saving: intermediate files, resume points and the final file. rounds: of samples in the whole run, where the run
    finds their times itself.
    """

    def multiples(every: int) -> int:
        return total // every - step // every if every else 0

    def count(every_n_steps: int, every_n_epochs: int) -> int:
        by_epoch = every_n_epochs * steps_per_epoch
        both = math.lcm(every_n_steps, by_epoch) if every_n_steps and by_epoch else 0
        return multiples(every_n_steps) + multiples(by_epoch) - multiples(both)

    every = config.validation.every_n_steps
    measured = multiples(every or steps_per_epoch) + (total % (every or steps_per_epoch) > 0)
    sample = config.sample
    samples = count(sample.every_n_steps if isinstance(sample.every_n_steps, int) else 0, sample.every_n_epochs)
    if sample.every_n_steps == "auto" and not sample.every_n_epochs:
        samples = rounds - rounds * step // max(total, 1)
    return {"samples": samples,
            "validation": measured if validates and step < total else 0,
            "saving": count(config.save.every_n_steps, config.save.every_n_epochs)
            + multiples(config.save.state_every_n_steps) + 1}


def seconds_due(due: Mapping[str, int], seconds_each: Mapping[str, float]) -> float:
    """Seconds of all that is due; what was never measured counts nothing."""
    return sum(count * seconds_each.get(what, 0.0) for what, count in due.items())


@dataclass(frozen=True)
class Conditions:
    """What a step's time hangs on. pixels: of all pictures of one step; options: what else makes it slower or faster.
    """

    method: str
    family: str
    pixels: float
    options: tuple = ()


@dataclass(frozen=True)
class Measured:
    """A step of an earlier run: its seconds, and when, in seconds since 1970."""

    run: str
    conditions: Conditions
    seconds: float
    when: float = 0.0


@dataclass(frozen=True)
class StepTime:
    """Seconds a step takes, probably between `low` and `high`, as `measured` says; ratio: of the pixels to those of it.
    """

    seconds: float
    low: float
    high: float
    measured: Measured
    ratio: float
    same_method: bool


def step_time(conditions: Conditions, earlier: Sequence[Measured]) -> StepTime | None:
    """From the earlier run of that family that is most alike, the latest of those that are equally so; None without.

    Its seconds are scaled by the pixels of a step.
    """
    of_family = [measured for measured in earlier if measured.conditions.family == conditions.family]
    if not of_family:
        return None

    def unlikeness(measured: Measured) -> tuple:
        measured_under = measured.conditions
        return (measured_under.method != conditions.method, doubt(conditions, measured_under), -measured.when)

    nearest = min(of_family, key=unlikeness)
    ratio, factor = conditions.pixels / nearest.conditions.pixels, doubt(conditions, nearest.conditions)
    seconds = nearest.seconds * ratio
    return StepTime(seconds, seconds / factor, seconds * factor, nearest, ratio,
                    nearest.conditions.method == conditions.method)


def doubt(conditions: Conditions, measured_under: Conditions) -> float:
    """The factor by which what was measured under other conditions may be off."""
    ratio = conditions.pixels / measured_under.pixels
    factor = SAME * max(ratio, 1 / ratio) ** SCALED
    factor *= OTHER_OPTIONS if conditions.options != measured_under.options else 1.0
    return factor * (OTHER_METHOD if conditions.method != measured_under.method else 1.0)
