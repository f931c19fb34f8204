"""The WebUI's prompt syntax: <lora:name:1> tags and the (emphasis:1.2) of words."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

TAG = re.compile(r"<(\w+):([^>]+)>")
PIECE = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:\s*([+-]?[.\d]+)\s*\)|\)|]|[^\\()\[\]:]+|:")
BREAK = re.compile(r"\s*\bBREAK\b\s*")


@dataclass(frozen=True)
class Tag:
    """<kind:name:weight:...>, with named arguments such as te=0.5 apart."""

    kind: str
    name: str
    weights: tuple[str, ...] = ()
    named: dict[str, str] = field(default_factory=dict)

    def weight(self, place: int = 0, name: str = "", default: float = 1.0) -> float:
        """The number given at `place` or by `name`; `default` where there is none, or no finite number."""
        text = self.named.get(name, self.weights[place] if place < len(self.weights) else default)
        try:
            weight = float(text)
        except ValueError:
            return default
        return weight if math.isfinite(weight) else default


def tags(prompt: str) -> tuple[str, list[Tag]]:
    """(the prompt without its tags, the tags)."""
    parsed = []

    def take(match: re.Match[str]) -> str:
        name, *arguments = match[2].split(":")
        named = dict(item.split("=", 1) for item in arguments if "=" in item)
        parsed.append(Tag(match[1].lower(), name.strip(), tuple(item for item in arguments if "=" not in item), named))
        return ""

    return TAG.sub(take, prompt), parsed


def emphasis(prompt: str) -> list[tuple[str, float]]:
    r"""[(text, weight)]: (a) counts 1.1, (a:1.5) as much as it says, [a] 1 / 1.1, \( is a bracket, and BREAK is
    ("BREAK", -1).

    >>> emphasis("a (cat:1.5) in [fog]")
    [('a ', 1.0), ('cat', 1.5), (' in ', 1.0), ('fog', 0.9090909090909091)]
    """
    pieces: list[list[Any]] = []  # [text, weight]
    round_open: list[int] = []  # numbers of the pieces that follow a bracket which is still open
    square_open: list[int] = []

    def multiply(start: int, factor: float) -> None:
        for piece in pieces[start:]:
            if piece != ["BREAK", -1]:
                piece[1] *= factor

    for match in PIECE.finditer(prompt):
        text, weight = match[0], number(match[1])
        if text[0] == "\\":
            pieces.append([text[1:], 1.0])
        elif text == "(":
            round_open.append(len(pieces))
        elif text == "[":
            square_open.append(len(pieces))
        elif weight is not None and round_open:
            multiply(round_open.pop(), weight)
        elif text == ")" and round_open:
            multiply(round_open.pop(), 1.1)
        elif text == "]" and square_open:
            multiply(square_open.pop(), 1 / 1.1)
        else:
            for i, part in enumerate(BREAK.split(text)):
                pieces += [["BREAK", -1]] * (i > 0) + [[part, 1.0]]
    for start in round_open:
        multiply(start, 1.1)
    for start in square_open:
        multiply(start, 1 / 1.1)
    return merged(pieces)


def number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def merged(pieces: Iterable[Sequence[Any]]) -> list[tuple[str, float]]:
    """Neighbours of one weight as one text."""
    result: list[tuple[str, float]] = []
    for text, weight in pieces:
        if result and result[-1][1] == weight and weight != -1:
            result[-1] = (result[-1][0] + text, weight)
        elif text:
            result.append((text, weight))
    return result or [("", 1.0)]
