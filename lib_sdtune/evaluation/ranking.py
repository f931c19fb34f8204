"""The order of the files with its reasons, and the strength to use the best one at. Pure functions of measures."""

GOOD_ENOUGH = 0.97  # of the best score: an earlier file that reaches it is as good
OBEYS = 0.6  # of its obedience at low weights: where it falls below, about half of what is asked for is not shown
VARIED = 0.5  # of the bare model's variety: one subject varies less than everything that the bare model makes of the same words


def ranked(entries, memorises=None):
    """The entries, best first, each with "score" (0..1) and "reasons" (sentences).

    entries: dicts with "label", "step", "subject" (0 bare model .. 1 training pictures), "prompt" (obedience 0..1 or None),
    "variety" (1: as the bare model, or None), "copies" (share), "val_loss" (or None). memorises: the step, if known.
    """
    lowest = min((one["val_loss"] for one in entries if one["val_loss"] is not None), default=None)
    found = [{**one, "score": round(score(one, lowest), 4)} for one in entries]
    found.sort(key=lambda one: (-one["score"], one["step"] or 0))
    best = found[0]
    earlier = [one for one in found if one["score"] >= GOOD_ENOUGH * best["score"] and (one["step"] or 0) < (best["step"] or 0)]
    if earlier:
        first = min(earlier, key=lambda one: one["step"] or 0)
        found.remove(first)
        found.insert(0, first)
    return [one | {"reasons": reasons(one, found, lowest, memorises)} for one in found]


def score(one, lowest):
    """What shows the subject, follows the prompt, varies, and copies nothing."""
    shown = held(one["subject"])
    obeys = 1.0 if one["prompt"] is None else one["prompt"]
    varied = 1.0 if one["variety"] is None else held(one["variety"] / VARIED) ** 0.5
    kept = 1.0 if one["val_loss"] is None or not lowest else max(0.5, 1 - 2 * (one["val_loss"] - lowest) / lowest)
    return shown * obeys * varied * (1 - one["copies"]) * kept


def held(value):
    return min(1.0, max(0.0, value))


def reasons(one, all_of_them, lowest, memorises):
    said = [f"shows the subject {of(one, all_of_them, 'subject')} "
            f"({100 * held(one['subject']):.0f} % of the way from the bare model to the training pictures)"]
    if one["prompt"] is not None:
        said.append(f"follows the prompt {of(one, all_of_them, 'prompt')} ({100 * one['prompt']:.0f} % of what the bare model does)")
    if one["variety"] is not None and one["variety"] < VARIED:
        said.append(f"its seeds differ less: {100 * one['variety']:.0f} % of the bare model's variety")
    if one["copies"]:
        said.append(f"{100 * one['copies']:.0f} % of its pictures are nearly copies of a training picture")
    if one["val_loss"] is not None and lowest:
        above = 100 * (one["val_loss"] - lowest) / lowest
        told = f"loss on pictures kept aside {above:.1f} % above the lowest"
        said.append("has the lowest loss on pictures kept aside" if above < 0.05 else told)
    if memorises is not None and (one["step"] or 0) > memorises:
        said.append(f"comes after step {memorises}, where memorising starts")
    return said


def of(one, all_of_them, name):
    """How a value stands among the others, in a word."""
    values = sorted(held(other[name]) for other in all_of_them if other[name] is not None)
    own = held(one[name])
    if len(values) > 1 and values[-1] - values[0] > 0.05:
        if own >= values[-1] - 1e-9:
            return "best"
        if own <= values[0] + 1e-9:
            return "least"
    return "well" if own >= 0.75 else "somewhat" if own >= 0.4 else "hardly"


def strength(curve):
    """{"weight", "stops_at", "sentence"} of [{"weight", "subject", "prompt"}]: the weight to prefer, and where obedience ends (or None)."""
    curve = sorted(curve, key=lambda point: point["weight"])
    obeys = [1.0 if point["prompt"] is None else point["prompt"] for point in curve]
    values = [held(point["subject"]) * given for point, given in zip(curve, obeys, strict=True)]
    if all(point["prompt"] is None for point in curve):  # stronger may be worse, and nobody could tell
        values = [value if point["weight"] <= 1 else 0.0 for point, value in zip(curve, values, strict=True)]
    good = [point["weight"] for point, value in zip(curve, values, strict=True) if value >= GOOD_ENOUGH * max(values)]
    weight = min(good, key=lambda one: abs(one - 1))
    stops = None
    for place, given in enumerate(obeys):
        before = max(obeys[:place], default=given)
        if given < OBEYS * before and all(later < OBEYS * before for later in obeys[place:]):
            stops = curve[place]["weight"]
            break
    told = f"Best at weight {weight:g}."
    if stops is not None:
        told += f" From {stops:g} on it stops following the prompt."
    return {"weight": weight, "stops_at": stops, "sentence": told}
