"""Why a file stands where it stands: first what put the winner before the next, then what was measured of each."""

from collections.abc import Sequence

from lib_sdtune.evaluation.score import VARIED, Entry, clamped, factors

DECIDES = 1.05  # times the next one's factor: below it a measure did not decide
NOTHING = 1e-6  # keeps a quotient finite
PHRASES = (  # reasons, which no full stop ends
    "shows the subject better than {1}: {2} and {3} % of the way from the bare model to the training pictures",
    "follows the prompt better than {1}: {2} and {3} % of what the bare model does",
    "its seeds differ more than those of {1}: {2} and {3} % of the bare model's variety",
    "copies no training picture; {1} does in {2} % of its pictures",
    "copies training pictures less than {1}: in {2} and {3} % of its pictures",
    "its loss on pictures kept aside is lower than that of {1}",
    "was trained less than {1}, and is as good: {2} and {3} of 1",
    "the other one", "the next one", "the best one",
    "shows the subject {1} ({2} % of the way from the bare model to the training pictures)",
    "shows the subject: {1} % of the way from the bare model to the training pictures",
    "follows the prompt {1} ({2} % of what the bare model does)",
    "follows the prompt: {1} % of what the bare model does",
    "its seeds differ less: {1} % of the bare model's variety",
    "{1} % of its pictures are nearly copies of a training picture",
    "loss on pictures kept aside {1} % above the lowest", "has the lowest loss on pictures kept aside",
    "comes after step {1}, where memorising starts", "best", "least", "well", "somewhat", "hardly")


def reasons(entry: Entry, ranked: Sequence[Entry], lowest: float | None, memorises: int | None) -> list[str]:
    """Sentences about one of the entries, which are in their order and have their score."""
    measure, sentence = why_first(ranked, lowest) if entry is ranked[0] and len(ranked) > 1 else ("", "")
    found = measured(entry, ranked, lowest, memorises)
    return ([sentence] if sentence else []) + [text for name, text in found if name != measure]


def why_first(ranked: Sequence[Entry], lowest: float | None) -> tuple[str, str]:
    """(measure, sentence) of what put the first before the second; ("", "") where nothing did."""
    first, second = ranked[:2]
    other = "the other one" if len(ranked) == 2 else "the next one"
    best = max(ranked, key=lambda entry: entry["score"])
    if best["score"] > first["score"]:
        other = "the other one" if len(ranked) == 2 else "the best one"
        scores = f"{first['score']:.2f} and {best['score']:.2f}"
        return "", f"was trained less than {other}, and is as good: {scores} of 1"
    ours, theirs = factors(first, lowest), factors(second, lowest)
    quotients = {name: (ours[name] + NOTHING) / (theirs[name] + NOTHING) for name in ours}
    measure = max(quotients, key=lambda name: quotients[name])
    if quotients[measure] < DECIDES:
        return "", ""
    both = "" if measure == "val_loss" else f"{percent(first[measure])} and {percent(second[measure])} %"
    if measure == "copies" and not first["copies"]:
        return measure, f"copies no training picture; {other} does in {percent(second['copies'])} % of its pictures"
    return measure, {
        "subject": f"shows the subject better than {other}: {both} of the way from the bare model to the training "
                   "pictures",
        "prompt": f"follows the prompt better than {other}: {both} of what the bare model does",
        "variety": f"its seeds differ more than those of {other}: {both} of the bare model's variety",
        "copies": f"copies training pictures less than {other}: in {both} of its pictures",
        "val_loss": f"its loss on pictures kept aside is lower than that of {other}"}[measure]


def measured(entry: Entry, ranked: Sequence[Entry], lowest: float | None, memorises: int | None
             ) -> list[tuple[str, str]]:
    """[(measure, sentence)] of what is worth saying of a file."""
    way = f"{percent(entry['subject'])} % of the way from the bare model to the training pictures"
    word = standing(entry, ranked, "subject")
    found = [("subject", f"shows the subject {word} ({way})" if word else f"shows the subject: {way}")]
    if entry["prompt"] is not None:
        word, share = standing(entry, ranked, "prompt"), f"{percent(entry['prompt'])} % of what the bare model does"
        found.append(("prompt", f"follows the prompt {word} ({share})" if word else f"follows the prompt: {share}"))
    if entry["variety"] is not None and entry["variety"] < VARIED:
        found.append(("variety", f"its seeds differ less: {percent(entry['variety'])} % of the bare model's variety"))
    if entry["copies"]:
        found.append(("copies", f"{percent(entry['copies'])} % of its pictures are nearly copies of a training "
                                "picture"))
    if entry["val_loss"] is not None and lowest:
        above = 100 * (entry["val_loss"] - lowest) / lowest
        sentence = f"loss on pictures kept aside {above:.1f} % above the lowest"
        found.append(("val_loss", "has the lowest loss on pictures kept aside" if above < 0.05 else sentence))
    if memorises is not None and (entry["step"] or 0) > memorises:
        found.append(("step", f"comes after step {memorises}, where memorising starts"))
    return found


def standing(entry: Entry, ranked: Sequence[Entry], name: str) -> str:
    """How a value stands among the others, in a word; "" for two files, of which the shares say it all."""
    if len(ranked) == 2:
        return ""
    values = sorted(shown(other[name]) for other in ranked if other[name] is not None)
    value = shown(entry[name])
    if len(values) > 1 and values[-1] - values[0] > 0.05:
        if value == values[-1]:
            return "best"
        if value == values[0] and entry is not ranked[0]:  # the first is proposed for something else
            return "least"
    return "well" if value >= 0.75 else "somewhat" if value >= 0.4 else "hardly"


def shown(value: float) -> float:
    """In whole percent, as it is read: what reads the same stands the same."""
    return round(clamped(value), 2)


def percent(value: float) -> str:
    return f"{100 * clamped(value):.0f}"
