"""Sentences that a page may say in another language: which constant one a text is, and what stands in its blanks.

`sentences.json` has the constant ones with numbered blanks, as `tools/sentences.py` reads them off the source; their
translations are in localizations/.
"""

import json
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("sentences.json")
BLANK = re.compile(r"\{\d+\}")
PARTS = re.compile(r" · |(?<=[.!?])\s+")  # between the parts of a run's message, and between sentences
DEEPEST = 3  # a blank may hold what has blanks itself


@cache
def templates() -> tuple[tuple[str, str, re.Pattern], ...]:
    """(longest piece without a blank, template, expression) of each, those with the most words of their own first."""
    texts = json.loads(FILE.read_text(encoding="utf-8"))
    entries = [(max(BLANK.split(text), key=len), text, expression(text)) for text in texts]
    return tuple(sorted(entries, key=lambda entry: -len(BLANK.sub("", entry[1]))))


def expression(template: str) -> re.Pattern:
    """What matches the template with something in its blanks, and has these as groups."""
    pieces = map(re.escape, BLANK.split(template))
    return re.compile("(.*?)".join(pieces), re.DOTALL)


@lru_cache(4096)
def recognised(text: str, deepest: int = DEEPEST) -> dict[str, Any] | None:
    """{"code": the template, "values": {"1": what stands in its first blank, …}} of a text; None if it is none of ours.

    A value is a text, or the same again where that is one of ours.
    """
    for piece, template, pattern in templates():
        if piece in text and (match := pattern.fullmatch(text)):
            values = {str(n): (deepest and recognised(value, deepest - 1)) or value
                      for n, value in enumerate(match.groups(), 1)}
            return {"code": template, "values": values}
    return None


def coded(data: Any) -> dict[str, dict[str, Any]]:
    """{text: what `recognised` says of it} for every text anywhere in JSON data that is one of ours, and their parts.
    """
    texts = {part for text in strings(data) for part in (text, *PARTS.split(text))}
    codes = {text: recognised(text) for text in texts if len(text) < 2000 and " " in text}
    return {text: code for text, code in codes.items() if code}


def strings(data: Any) -> Iterator[str]:
    """Every text in JSON data, keys not counted."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for value in data.values():
            yield from strings(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from strings(value)
