r"""Signs of the WebUI's prompt syntax in captions: `\(`, `(cat:1.3)`, `((cat))`, `[dog]`, `<lora:x:1>`, BREAK, AND.

A prompt is parsed before its words are encoded, so that these signs never reach the encoder; captions are not. What a
caption says in them is learned as letters that no prompt gives. Single round brackets stay: a prompt can ask for them.
"""

import re

from lib_sdtune.prompts import TAG

ESCAPED = re.compile(r"\\([()\[\]])")
WEIGHT = re.compile(r"\(([^()\[\]]*?):\s*[+-]?[.\d]+\s*\)")
DOUBLE = re.compile(r"\(\s*\(([^()]*)\)\s*\)")
SQUARE = re.compile(r"\[(?!filewords\]|name\])([^\[\]]*)\]")
WORD = re.compile(r"[\s,]*\b(?:BREAK|AND)\b[\s,]*")
SIGNS = (TAG, ESCAPED, WEIGHT, DOUBLE, SQUARE, re.compile(r"\b(?:BREAK|AND)\b"))
HIDDEN = {"(": "\ue000", ")": "\ue001", "[": "\ue002", "]": "\ue003"}  # letters of nobody, for brackets that stay
MAX_SIGN_LENGTH = 24  # letters of a sign that are shown


def signs(caption: str, weighted: bool = False) -> list[str]:
    """The parts of a caption that are prompt syntax, each kind once, as they stand there. weighted: but for brackets,
    which are read as weights.
    """
    patterns = [pattern for pattern in SIGNS if not weighted or pattern not in (ESCAPED, WEIGHT, DOUBLE, SQUARE)]
    matches = [pattern.search(caption) for pattern in patterns]
    signs = [match[0] for match in matches if match]
    return [sign if len(sign) <= MAX_SIGN_LENGTH else f"{sign[: MAX_SIGN_LENGTH - 1]}…" for sign in signs]


def plain(caption: str) -> str:
    """The caption without prompt syntax: the words that a prompt of the same letters would encode.

    >>> plain(r"fate \\(series\\), (cat:1.3), [dog] <lora:x:1>")
    'fate (series), cat, dog'
    """
    if not signs(caption):
        return caption
    text = ESCAPED.sub(lambda match: HIDDEN[match[1]], TAG.sub("", caption))
    before = ""
    while before != text:
        before, text = text, SQUARE.sub(inner, DOUBLE.sub(r"\1", WEIGHT.sub(r"\1", text)))
    text = WORD.sub(", ", text)
    for bracket, hidden in HIDDEN.items():
        text = text.replace(hidden, bracket)
    return re.sub(r"\s{2,}", " ", re.sub(r"\s*,(\s*,)+", ",", text)).strip(" ,")


def inner(match: re.Match) -> str:
    """The words in square brackets; of [a:b:0.5] and [a|b] those that come first."""
    parts = [part.strip() for part in re.split(r"[:|]", match[1])]
    return next((part for part in parts if part and not re.fullmatch(r"[.\d]+", part)), "")
