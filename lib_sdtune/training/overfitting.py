"""What the curves of a run say, as sentences: a pure function of log rows."""

import math
from collections.abc import Sequence
from typing import Any

from lib_sdtune.formats.structure import is_number

MIN_MEASUREMENTS = 4  # measurements before anything is said
ENOUGH, SHARE = 2, 6  # measurements in a row that confirm it, or this part of them all
SLIGHT = 0.005  # of the best loss: what counts as being as good
LARGE = 0.5  # of the best loss: what no trembling explains, for noise and timesteps are the same every time
WIDE = 3.5  # standard deviations that the best of many may lie below the others
APART = 8  # trembling is also looked for between measurements this part of the curve apart: weights wander slowly too
REACH = 16  # the turning point is sought on means over neighbours within this part of the curve


LEARNING = "Still learning: pictures kept aside have their best loss so far"
LEARNED = "It was still getting better when it ended: pictures kept aside had their best loss"
PHRASES = (  # of the two above
    "Still learning: pictures kept aside have their best loss so far, {1}, at step {2}.",
    "It was still getting better when it ended: pictures kept aside had their best loss, {1}, at step {2}.")


def assess(rows: list[dict], ended: bool = False) -> dict[str, Any] | None:
    """{"kind", "step", "sentence", "forgetting"} of a run's log rows, or None when nothing was measured.

    ended: whether no more rows come.

    kind: "unknown" (too few measurements), "learning", "memorises" or "diverges"; step: where the two curves part, else
    None.
    """
    points = measured(rows)
    if not points:
        return None
    assessment = {**judge(points), "forgetting": forgetting(points)}
    return of_ended(assessment) if ended else assessment


def of_ended(assessment: dict[str, Any]) -> dict[str, Any]:
    """The same of a run that has ended: it learns no more."""
    return {**assessment, "sentence": str(assessment.get("sentence", "")).replace(LEARNING, LEARNED)}


def measured(rows: list[dict]) -> list[tuple]:
    """[(step, loss on held-out pictures, on trained ones, on class pictures or None)] of the rows that were validated;
    infinite where the numbers overflowed.
    """
    points, since = [], []
    for row in rows:
        if is_number(row.get("loss")):
            since.append(row["loss"])
        if row.get("val_loss") is None:
            continue
        fit = row["fit_loss"] if is_number(row.get("fit_loss")) else sum(since) / len(since) if since else None
        if not is_number(row["val_loss"]):
            fit = math.inf
        if fit is not None:
            points.append((row["step"], row["val_loss"], fit, row.get("class_loss")))
        since = []
    return points


def judge(points: list[tuple]) -> dict[str, Any]:
    """Where the loss on pictures kept aside left its best for good, and what the trained ones did meanwhile."""
    if not is_number(points[-1][1]):
        return overflowed(points)
    points = [point for point in points if is_number(point[1])]
    steps, held_out, fit = zip(*(point[:3] for point in points), strict=True)
    if len(points) < MIN_MEASUREMENTS:
        times = "time" if len(points) == 1 else "times"
        return verdict(
            "unknown",
            None,
            f"Measured {len(points)} {times} so far; {MIN_MEASUREMENTS} are needed to tell learning from memorising.",
        )
    best = min(range(len(points)), key=lambda i: held_out[i])
    near = held_out[best] + slack(held_out)
    last = max(i for i, loss in enumerate(held_out) if loss <= near)
    if len(points) - 1 - last < max(ENOUGH, len(points) // SHARE):
        return verdict("learning", None, f"{LEARNING}, {held_out[best]:.4g}, at step {steps[best]}.")
    turn = turning(held_out, last)
    level = mean_around(held_out, turn, last)
    rise = f"it was {level:.4g} there and is {percent(held_out[-1], level)} above that now"
    if fit[-1] > fit[turn] + slack(fit):
        return verdict(
            "diverges",
            steps[turn],
            f"Gets worse from step {steps[turn]}: both losses rise, that of pictures kept aside "
            f"for good ({rise}); lower the learning rate.",
        )
    fell = f"fell by {100 * (1 - fit[-1] / fit[turn]):.2g} %" if fit[-1] < fit[turn] - slack(fit) else "did not"
    return verdict(
        "memorises",
        steps[turn],
        f"Starts to memorise at step {steps[turn]}: from there the loss on pictures kept aside rises "
        f"for good ({rise}), while that on trained pictures {fell}.",
    )


def overflowed(points: list[tuple]) -> dict[str, Any]:
    """Of measurements the last of which is not finite."""
    finite = [(loss, step) for step, loss, *_ in points if is_number(loss)]
    since = min(step for step, *_ in points if not finite or step > finite[-1][1])
    return verdict("diverges", min(finite)[1] if finite else None,
                   f"Gets worse: at step {since} the loss on pictures kept aside overflowed; lower the learning rate.")


def verdict(kind: str, step: int | None, sentence: str) -> dict[str, Any]:
    return {"kind": kind, "step": step, "sentence": sentence}


def slack(values: Sequence[float]) -> float:
    """How far a measurement may lie above the best one without meaning anything: the best of many is low by chance too.
    """
    low = abs(min(values))
    trembles = max(trembling(values, 1), trembling(values, max(1, len(values) // APART)))
    return min(max(WIDE * trembles, SLIGHT * low), LARGE * low)


def trembling(values: Sequence[float], lag: int) -> float:
    """The standard deviation around a smooth curve, from second differences between values `lag` apart."""
    bends = sorted(abs(a - 2 * b + c) for a, b, c in zip(values, values[lag:], values[2 * lag:], strict=False))
    if not bends:
        return 0.0
    typical = bends[len(bends) // 2] / 0.674
    if lag == 1:
        typical = min(sum(bends) / len(bends) / 0.798, 2 * typical)  # the latter where a few jumps stand out
    return typical / math.sqrt(6)


def turning(values: Sequence[float], last: int) -> int:
    """The place of the lowest level up to the place `last`."""
    return min(range(last + 1), key=lambda index: mean_around(values, index, last))


def mean_around(values: Sequence[float], index: int, last: int) -> float:
    reach = max(1, last // REACH) if last > 5 else 0
    part = values[max(0, index - reach):index + reach + 1]
    return sum(part) / len(part)


def percent(high: float, low: float) -> str:
    share = 100 * (high - low) / low if low > 0 else 0.0
    return f"{share:.0f} %" if share >= 10 else f"{share:.2g} %"


def forgetting(points: list[tuple]) -> str:
    """A sentence when the class is being forgotten, else ""."""
    measurements = [(step, loss) for step, _, _, loss in points if is_number(loss)]
    if len(measurements) < MIN_MEASUREMENTS:
        return ""
    losses = [loss for _, loss in measurements]
    lowest = min(range(len(losses)), key=lambda i: losses[i])
    bar = losses[lowest] + max(slack(losses), 0.03 * losses[lowest])
    if not all(loss > bar for loss in losses[-ENOUGH:]):
        return ""
    return (
        f"The class is being forgotten: the loss on its pictures is {percent(losses[-1], losses[lowest])} above "
        "what it was at "
        f"step {measurements[lowest][0]}; more class pictures or fewer steps keep it."
    )
