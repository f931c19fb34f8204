"""The order of the files with its reasons, and the strength to use the best one at. Pure functions of measures."""

from collections.abc import Sequence
from typing import Any

Entry = dict[str, Any]

GOOD_ENOUGH = 0.97  # of the best score: an earlier file that reaches it is as good
ADHERES = 0.6  # of its adherence at low weights: where it falls below, about half of what is asked for is not shown
# of the bare model's variety: one subject varies less than everything that the bare model makes of the same words
VARIED = 0.5
PHRASES = (  # reasons, which no full stop ends
    "shows the subject {1} ({2} % of the way from the bare model to the training pictures)",
    "follows the prompt {1} ({2} % of what the bare model does)",
    "its seeds differ less: {1} % of the bare model's variety",
    "{1} % of its pictures are nearly copies of a training picture",
    "loss on pictures kept aside {1} % above the lowest", "has the lowest loss on pictures kept aside",
    "comes after step {1}, where memorising starts", "best", "least", "well", "somewhat", "hardly")


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


def score(entry: Entry, lowest: float | None) -> float:
    """What shows the subject, follows the prompt, varies, and copies nothing."""
    subject = clamped(entry["subject"])
    adherence = 1.0 if entry["prompt"] is None else entry["prompt"]
    varied = 1.0 if entry["variety"] is None else clamped(entry["variety"] / VARIED) ** 0.5
    generalises = (1.0
                   if entry["val_loss"] is None or not lowest
                   else max(0.5, 1 - 2 * (entry["val_loss"] - lowest) / lowest))
    return subject * adherence * varied * (1 - entry["copies"]) * generalises


def clamped(value: float) -> float:
    return min(1.0, max(0.0, value))


def reasons(entry: Entry, entries: Sequence[Entry], lowest: float | None, memorises: int | None) -> list[str]:
    sentences = [f"shows the subject {of(entry, entries, 'subject')} "
            f"({100 * clamped(entry['subject']):.0f} % of the way from the bare model to the training pictures)"]
    if entry["prompt"] is not None:
        sentences.append(f"follows the prompt {of(entry, entries, 'prompt')} ({100 * entry['prompt']:.0f} % of what "
                         "the bare model does)")
    if entry["variety"] is not None and entry["variety"] < VARIED:
        sentences.append(f"its seeds differ less: {100 * entry['variety']:.0f} % of the bare model's variety")
    if entry["copies"]:
        sentences.append(f"{100 * entry['copies']:.0f} % of its pictures are nearly copies of a training picture")
    if entry["val_loss"] is not None and lowest:
        above = 100 * (entry["val_loss"] - lowest) / lowest
        sentence = f"loss on pictures kept aside {above:.1f} % above the lowest"
        sentences.append("has the lowest loss on pictures kept aside" if above < 0.05 else sentence)
    if memorises is not None and (entry["step"] or 0) > memorises:
        sentences.append(f"comes after step {memorises}, where memorising starts")
    return sentences


def shown(value: float) -> float:
    """In whole percent, as it is read: what reads the same stands the same."""
    return round(clamped(value), 2)


def of(entry: Entry, entries: Sequence[Entry], name: str) -> str:
    """How a value stands among the others, in a word."""
    values = sorted(shown(other[name]) for other in entries if other[name] is not None)
    value = shown(entry[name])
    if len(values) > 1 and values[-1] - values[0] > 0.05:
        if value == values[-1]:
            return "best"
        if value == values[0]:
            return "least"
    return "well" if value >= 0.75 else "somewhat" if value >= 0.4 else "hardly"


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
