"""The order of the files with its reasons, and the strength to use the best one at. Pure functions of measures."""

from collections.abc import Sequence
from typing import Any

from lib_sdtune.evaluation.reasons import reasons
from lib_sdtune.evaluation.score import Entry, clamped, score

GOOD_ENOUGH = 0.97  # of the best score: an earlier file that reaches it is as good
ADHERES = 0.6  # of its adherence at low weights: where it falls below, about half of what is asked for is not shown


def ranked(entries: Sequence[Entry], memorises: int | None = None) -> list[Entry]:
    """The entries, best first, each with "score" (0..1) and "reasons" (sentences).

    entries: dicts with "label", "step", "subject" (0 bare model .. 1 training pictures), "prompt" (adherence 0..1 or
    None), "variety" (1: as the bare model, or None), "copies" (share), "val_loss" (or None). memorises: the step, if
    known.
    """
    lowest = min((entry["val_loss"] for entry in entries if entry["val_loss"] is not None), default=None)
    entries = [{**entry, "score": round(score(entry, lowest), 4)} for entry in entries]
    entries.sort(key=lambda entry: (-entry["score"], entry["step"] or 0))
    best = entries[0]
    earlier = [entry for entry in entries
               if entry["score"] >= GOOD_ENOUGH * best["score"] and (entry["step"] or 0) < (best["step"] or 0)]
    if earlier:
        first = min(earlier, key=lambda entry: entry["step"] or 0)
        entries.remove(first)
        entries.insert(0, first)
    return [entry | {"reasons": reasons(entry, entries, lowest, memorises)} for entry in entries]


def strength(curve: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """{"weight", "stops_at", "sentence"} of [{"weight", "subject", "prompt"}]: the weight to prefer, and where
    adherence ends (or None).
    """
    curve = sorted(curve, key=lambda point: point["weight"])
    adherences = [1.0 if point["prompt"] is None else point["prompt"] for point in curve]
    values = [clamped(point["subject"]) * adherence for point, adherence in zip(curve, adherences, strict=True)]
    if all(point["prompt"] is None for point in curve):  # stronger may be worse, and nobody could tell
        values = [value if point["weight"] <= 1 else 0.0 for point, value in zip(curve, values, strict=True)]
    good = [point["weight"] for point, value in zip(curve, values, strict=True) if value >= GOOD_ENOUGH * max(values)]
    weight = min(good, key=lambda weight: abs(weight - 1))
    stops = None
    for index, adherence in enumerate(adherences):
        before = max(adherences[:index], default=adherence)
        if adherence < ADHERES * before and all(later < ADHERES * before for later in adherences[index:]):
            stops = curve[index]["weight"]
            break
    sentence = f"Best at weight {weight:g}."
    if stops is not None:
        sentence += f" From {stops:g} on it stops following the prompt."
    return {"weight": weight, "stops_at": stops, "sentence": sentence}
