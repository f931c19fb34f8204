"""What a file's measures are worth: a factor for each, and their product. Pure functions."""

from math import prod
from typing import Any

Entry = dict[str, Any]

# of the bare model's variety: one subject varies less than everything that the bare model makes of the same words
VARIED = 0.5


def score(entry: Entry, lowest: float | None) -> float:
    """What shows the subject, follows the prompt, varies, and copies nothing. lowest: loss on pictures kept aside."""
    return prod(factors(entry, lowest).values())


def factors(entry: Entry, lowest: float | None) -> dict[str, float]:
    """{measure: 0..1}; 1 for what was not measured."""
    return {"subject": clamped(entry["subject"]),
            "prompt": 1.0 if entry["prompt"] is None else entry["prompt"],
            "variety": 1.0 if entry["variety"] is None else clamped(entry["variety"] / VARIED) ** 0.5,
            "copies": 1 - entry["copies"],
            "val_loss": 1.0 if entry["val_loss"] is None or not lowest
            else max(0.5, 1 - 2 * (entry["val_loss"] - lowest) / lowest)}


def clamped(value: float) -> float:
    return min(1.0, max(0.0, value))
