"""Learning rates as pure functions of the step, so that a resumed run needs no scheduler state.

Steps count from 0. The schedules that a name stands for are in `schedules`, the WebUI's are written as text.
"""

import re
from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.optim.schedules import SCHEDULES, Place


def factor(step: int, total: int, scheduler: str = "constant", warmup: int = 0, **shape: Any) -> float:
    """What the rate is multiplied by at `step` of `total`, in 0..1. shape: as `schedules.Place` has it."""
    schedule = SCHEDULES[scheduler]
    if schedule.takes_warmup and step < warmup:
        return step / warmup
    return schedule.factor(Place(step, total, warmup, **shape))


def parse(text: float | str, where: str = "The learning rate") -> list[tuple[float, int]]:
    """[(rate, last step), ...] of the WebUI's schedule text: "5e-3:200, 1e-3:500, 1e-4"; the last one may go without
    a step.

    A comma at the end is allowed, as there.
    """
    pieces = []
    for piece in str(text).rstrip(", ").split(","):
        rate, _, until = piece.strip().partition(":")
        try:
            pieces.append((float(rate), int(until) if until.strip() else -1))
        except ValueError:
            raise UserError(f"{where} {text!r} is not a schedule; write it like \"5e-3:200, 1e-3\": "
                            "a rate, a colon, and the step until which it holds.") from None
    if any(until < 0 for _, until in pieces[:-1]) and (pointed := with_points(str(text))) != text:
        raise UserError(f"{where} {text!r} has a comma inside a number; write a point: {pointed}.")
    ends = [until for _, until in pieces[:-1]] + [until for _, until in pieces[-1:] if until != -1]
    if any(until <= 0 for until in ends) or ends != sorted(set(ends)) or any(not 0 <= rate <= 10 for rate, _ in pieces):
        raise UserError(f"{where} {text!r} must have rising steps, and rates between 0 and 10.")
    return pieces


def with_points(text: str) -> str:
    """The schedule that a text means whose numbers have a comma: "0,001:200, 0,0005"; the text itself if it is none."""
    pointed = re.sub(r"(\d),(?=\d)", r"\1.", text).rstrip(", ")
    try:
        return pointed if pointed != text.rstrip(", ") and parse(pointed) else text
    except UserError:
        return text


def scheduled(text: str, step: int) -> float:
    """The rate that schedule text gives at `step`; after the last piece its rate stays."""
    pieces = parse(text)
    return next((rate for rate, until in pieces if until < 0 or step < until), pieces[-1][0])


def rate(lr: float | str, step: int, total: int, scheduler: str = "constant", warmup: int = 0, **shape: float) -> float:
    """The rate at `step`: schedule text stands for itself, a number follows the scheduler. shape: as `factor` has it.
    """
    if isinstance(lr, str) and is_text(lr):
        return scheduled(lr, step)
    return float(lr) * factor(step, total, scheduler, warmup, **shape)


def reads(scheduler: str, name: str) -> bool:
    """Whether that schedule is shaped by `name`, a key of `schedules.SETTINGS`."""
    return name in SCHEDULES[scheduler].reads


def multiplied(lr: float | str, factor: float) -> float | str:
    """A rate, or the schedule text of one, times a factor."""
    if factor == 1:
        return lr
    if not isinstance(lr, str):
        return lr * factor
    pieces = [f"{rate * factor!r}" + (f":{until}" if until >= 0 else "") for rate, until in parse(lr)]
    return ", ".join(pieces)


def is_text(lr: float | str) -> bool:
    """Whether this is schedule text, which follows no scheduler; a single rate written as text is a number."""
    return isinstance(lr, str) and len(pieces := parse(lr)) + (pieces[0][1] >= 0) > 1


def is_zero(lr: float | str) -> bool:
    """Whether the part it belongs to does not learn at all."""
    return all(value == 0 for value, _ in parse(lr)) if isinstance(lr, str) else lr == 0
