"""Edits of one caption, as pure functions: text in, text out. A caption is a line of tags with commas between them.

`query` reads a filter such as "cat and not dog or missing" into a function that says whether a caption passes.
"""

import re
from fnmatch import fnmatchcase

from lib_sdtune.data.captions import tags as split
from lib_sdtune.errors import UserError


def join(parts):
    return ", ".join(parts)


def add(caption, new, front=False):
    """The tags of `new` at the end (or in front, in their order), each only if it is not there yet."""
    parts = split(caption)
    fresh = [tag for tag in split(new) if not has(parts, tag)]
    return join(fresh + parts if front else parts + fresh) if fresh else caption


def lead(caption, new):
    """The tags of `new` in front, moved there if they stand elsewhere."""
    first = split(new)
    return join(first + [tag for tag in split(caption) if not has(first, tag)])


def remove(caption, gone):
    """Without the tags of `gone`, which may hold * for anything."""
    patterns = split(gone)
    return join(tag for tag in split(caption) if not any(matches(tag, pattern) for pattern in patterns))


def replace(caption, old, new):
    """The tag `old` (which may hold *) turned into `new`; an empty `new` removes it."""
    return join(dedupe_list([split_tag for tag in split(caption) for split_tag in (split(new) if matches(tag, old.strip()) else [tag])]))


def arrange(caption):
    """Tags in alphabetical order."""
    return join(sorted(split(caption), key=str.casefold))


def dedupe(caption):
    """Each tag once, where it first stands."""
    return join(dedupe_list(split(caption)))


def dedupe_list(parts):
    seen = set()
    return [tag for tag in parts if not (tag.casefold() in seen or seen.add(tag.casefold()))]


def has(parts, tag):
    return any(matches(part, tag) for part in parts)


def matches(tag, pattern):
    """Whether a tag is the one asked for: letter case and _ for space don't matter, * stands for anything."""
    pattern = plain(pattern).replace("[", "[[]").replace("?", "[?]")
    return fnmatchcase(plain(tag), pattern)


def plain(tag):
    return tag.strip().casefold().replace("_", " ").replace("\\(", "(").replace("\\)", ")")


def query(text):
    """A function caption -> bool for "a and not b or missing": `not` binds first, then `and`, then `or`; empty lets all pass."""
    if not text.strip():
        return lambda caption: True
    choices = [[term(part.strip()) for part in around("and", choice)] for choice in around("or", text)]
    return lambda caption: any(all(check(caption) for check in choice) for choice in choices)


def around(word, text):
    return re.split(rf"(?:^|\s+){word}(?:\s+|$)", text.strip(), flags=re.IGNORECASE)


def term(text):
    negated = re.match(r"not\s+", text, re.IGNORECASE)
    wanted = text[negated.end():] if negated else text
    if not wanted.strip() or wanted.strip().casefold() in ("and", "or", "not"):
        raise UserError(f"The filter lacks a tag at {text!r}; write for example: cat and not dog, or: missing.")
    if wanted.strip().casefold() == "missing":
        return lambda caption: (not caption.strip()) != bool(negated)
    return lambda caption: has(split(caption), wanted) != bool(negated)
