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
ANYTHING, WITHIN_A_SENTENCE = ".*?", r"(?:(?![.!?]\s).)*?"
COUNT = re.compile(r"\{1\} (?:class )?[a-z]+")  # a template of `plural`; "reading pictures" is none of its texts
NUMBER = r"[\d,]+"
MAX_DEPTH = 3  # a blank may hold what has blanks itself


def phrase(text: str) -> str:
    """The text itself, marked as part of a sentence that has words of its own: `tools/sentences.py` lists it too."""
    return text


def plural(count: int, noun: str) -> str:
    """"1 picture", "1,200 pictures": a count with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@cache
def templates() -> tuple[tuple[str, str], ...]:
    """(longest piece without a blank, template) of each, those with the most words of their own first."""
    texts = json.loads(FILE.read_text(encoding="utf-8"))
    entries = [(max(BLANK.split(text), key=len), text) for text in texts]
    return tuple(sorted(entries, key=lambda entry: -len(BLANK.sub("", entry[1]))))


@cache
def expression(template: str, blank: str) -> re.Pattern:
    """What matches the template with something in its blanks, and has these as groups."""
    blank = NUMBER if COUNT.fullmatch(template) else blank
    return re.compile(f"({blank})".join(map(re.escape, BLANK.split(template))), re.DOTALL)


@lru_cache(4096)
def recognised(text: str, deepest: int = MAX_DEPTH) -> dict[str, Any] | None:
    """{"code": the template, "values": {"1": what stands in its first blank, …}} of a text; None if it is none of ours.

    A value is a text, or the same again where that is one of ours and does not stand in quotes. Several sentences that
    are all ours are none together, unless there is one for all: a blank of the first must not take the others in.
    """
    template_match = matched(text, WITHIN_A_SENTENCE)
    if not template_match:
        parts = PARTS.split(text)
        if len(parts) > 1 and all(recognised(part, deepest) for part in parts):
            return None
        template_match = matched(text, ANYTHING)
    if not template_match:
        return None
    template, blanks = template_match
    values = {str(n): (deepest and not is_name(n, template) and recognised(value, deepest - 1)) or value
              for n, value in enumerate(blanks, 1)}
    return {"code": template, "values": values}


def is_name(blank: int, template: str) -> bool:
    """Whether what stands in the blank is somebody's name for something, and no words of ours."""
    return f'"{{{blank}}}"' in template


def matched(text: str, blank: str) -> tuple[str, tuple[str, ...]] | None:
    """The template that a text is, and what stands in its blanks, which match the expression `blank`."""
    for piece, template in templates():
        if piece in text and (match := expression(template, blank).fullmatch(text)):
            return template, match.groups()
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
