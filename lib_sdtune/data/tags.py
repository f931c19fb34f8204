"""Edits of one caption, as pure functions: text in, text out. A caption is a line of tags with commas between them.

`query` reads a filter such as "cat and not dog or missing" into a function that says whether a caption passes.
"""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from lib_sdtune.data.captions import tags as split
from lib_sdtune.errors import UserError


def join(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def add(caption: str, new: str, front: bool = False) -> str:
    """The tags of `new` at the end (or in front, in their order), each only if it is not there yet."""
    parts = split(caption)
    fresh = [tag for tag in split(new) if not has(parts, tag)]
    return join(fresh + parts if front else parts + fresh) if fresh else caption


def lead(caption: str, new: str) -> str:
    """The tags of `new` in front, moved there if they stand elsewhere."""
    first = split(new)
    return join(first + [tag for tag in split(caption) if not has(first, tag)])


def remove(caption: str, unwanted: str) -> str:
    """Without the tags of `unwanted`, which may hold * for anything."""
    patterns = split(unwanted)
    return join(tag for tag in split(caption) if not any(matches(tag, pattern) for pattern in patterns))


def replace(caption: str, old: str, new: str) -> str:
    """The tag `old` (which may hold *) turned into `new`; an empty `new` removes it."""
    parts = [split(new) if matches(tag, old.strip()) else [tag] for tag in split(caption)]
    return join(dedupe_list([tag for tags in parts for tag in tags]))


def arrange(caption: str) -> str:
    """Tags in alphabetical order."""
    return join(sorted(split(caption), key=str.casefold))


def dedupe(caption: str) -> str:
    """Each tag once, where it first stands."""
    return join(dedupe_list(split(caption)))


def dedupe_list(parts: Iterable[str]) -> list[str]:
    first: dict[str, str] = {}
    for tag in parts:
        first.setdefault(tag.casefold(), tag)
    return list(first.values())


def has(parts: Iterable[str], tag: str) -> bool:
    return any(matches(part, tag) for part in parts)


def matches(tag: str, pattern: str) -> bool:
    """Whether a tag is the one that is meant: letter case and _ for space don't matter, * stands for anything."""
    pattern = plain(pattern).replace("[", "[[]").replace("?", "[?]")
    return fnmatchcase(plain(tag), pattern)


def plain(tag: str) -> str:
    return tag.strip().casefold().replace("_", " ").replace("\\(", "(").replace("\\)", ")")


def query(text: str) -> Callable[[str], bool]:
    """A function caption -> bool for "a and not b or missing": `not` binds first, then `and`, then `or`.

    An empty text lets all pass. UserError where a tag is missing.
    """
    if not text.strip():
        return lambda caption: True
    choices = [[term(part.strip()) for part in around("and", choice)] for choice in around("or", text)]
    return lambda caption: any(all(check(caption) for check in choice) for choice in choices)


def around(word: str, text: str) -> list[str]:
    return re.split(rf"(?:^|\s+){word}(?:\s+|$)", text.strip(), flags=re.IGNORECASE)


def term(text: str) -> Callable[[str], bool]:
    negated = re.match(r"not\s+", text, re.IGNORECASE)
    tag = text[negated.end():] if negated else text
    if not tag.strip() or tag.strip().casefold() in ("and", "or", "not"):
        raise UserError(f"The filter lacks a tag at {text!r}; write for example: cat and not dog, or: missing.")
    if tag.strip().casefold() == "missing":
        return lambda caption: (not caption.strip()) != bool(negated)
    return lambda caption: has(split(caption), tag) != bool(negated)
