"""Edits of one caption, as pure functions: text in, text out. A caption is a line of tags with commas between them.

What an edit does not concern keeps its letters: its spaces, repeated tags, and commas. Tags are compared without
regard to letter case, and _ is a space. Where a user writes which tags are meant, * stands for anything; "in quotes",
or without any letter or digit, such as *_*, a tag means itself.

`query` reads a filter such as "cat and not dog or missing" into a function that says whether a caption passes.
"""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from lib_sdtune.data.captions import COMMAS
from lib_sdtune.data.captions import tags as split
from lib_sdtune.data.quality_words import leading
from lib_sdtune.errors import UserError

QUOTED = re.compile(r'"((?:[^"]|"")*)"')  # a quote sign inside is doubled


def join(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def add(caption: str, new: str, front: bool = False) -> str:
    """The tags of `new` at the end (or in front, in their order), each only if it is not there yet."""
    tags = split(caption)
    fresh = join(tag for tag in split(new) if not has(tags, tag))
    if not fresh or not tags:
        return fresh or caption
    return f"{fresh}, {caption.lstrip()}" if front else f"{tidy(caption)}, {fresh}"


def lead(caption: str, new: str) -> str:
    """The tags of `new` in front, moved there if they stand elsewhere."""
    first = split(new)
    if [plain(tag) for tag in split(caption)[: len(first)]] == [plain(tag) for tag in first]:
        return caption
    remaining = without(caption, lambda tag: has(first, tag)).strip()
    return f"{join(first)}, {remaining}" if remaining else join(first)


def remove(caption: str, unwanted: str) -> str:
    """Without the tags of `unwanted`, which may hold * for anything."""
    patterns = list(map(matcher, patterns_of(unwanted)))
    return without(caption, lambda tag: any(matches(tag) for matches in patterns))


def replace(caption: str, old: str, new: str) -> str:
    """The tag `old` (which may hold *) turned into `new`, without what stands there already; an empty `new` removes
    it.
    """
    matches, tags = matcher(old.strip()), split(caption)
    if not any(map(matches, tags)):
        return caption
    remaining = [tag for tag in tags if not matches(tag)]
    fresh = join(tag for tag in split(new) if not has(remaining, tag))
    if not fresh:
        return without(caption, matches)
    result: list[str] = []
    for segment in segments(caption):
        if not matches(segment.strip(COMMAS + " ")):
            result.append(segment)
        elif fresh:
            text = segment.strip(COMMAS + " ")
            result.append(segment.replace(text, fresh, 1) if text else segment)
            fresh = ""
    return tidy("".join(result))


def arrange(caption: str) -> str:
    """Tags in alphabetical order, behind the quality words that stand in front."""
    first = leading(caption)
    return join([*first, *sorted(split(caption)[len(first):], key=str.casefold)])


def dedupe(caption: str) -> str:
    """Each tag once, where it first stands."""
    first: dict[str, str] = {}
    tags = split(caption)
    for tag in tags:
        first.setdefault(tag.casefold(), tag)
    return join(first.values()) if len(first) < len(tags) else caption


def without(caption: str, unwanted: Callable[[str], bool]) -> str:
    """The caption without the tags that are unwanted; the very same if it has none of them."""
    parts = segments(caption)
    remaining = [part for part in parts if not (tag := part.strip(COMMAS + " ")) or not unwanted(tag)]
    return caption if len(remaining) == len(parts) else tidy("".join(remaining))


def segments(caption: str) -> list[str]:
    """Every tag with the comma behind it; together they are the caption."""
    return re.findall(f"[^{COMMAS}]*[{COMMAS}]|[^{COMMAS}]+$", caption)


def tidy(caption: str) -> str:
    return caption.strip().rstrip(COMMAS + " ")


def has(tags: Iterable[str], tag: str) -> bool:
    return plain(tag) in map(plain, tags)


def patterns_of(text: str) -> list[str]:
    """The parts of what a user wrote, between commas that stand in no quotes."""
    parts = re.findall(rf'(?:"(?:[^"]|"")*"|[^{COMMAS}])+', text)
    return [part.strip() for part in parts if part.strip()]


def matcher(pattern: str) -> Callable[[str], bool]:
    """A function that says whether a tag is the one that is meant."""
    quoted = QUOTED.fullmatch(pattern)
    literal = plain(quoted[1].replace('""', '"') if quoted else pattern)
    if quoted or "*" not in literal or (literal != "*" and not any(map(str.isalnum, literal))):
        return lambda tag: plain(tag) == literal
    escaped = literal.replace("[", "[[]").replace("?", "[?]")
    return lambda tag: fnmatchcase(plain(tag), escaped)


def plain(tag: str) -> str:
    return tag.strip().casefold().replace("_", " ").replace("\\(", "(").replace("\\)", ")")


def query(text: str) -> Callable[[str], bool]:
    """A function caption -> bool for "a and not b or missing": `not` binds first, then `and`, then `or`.

    An empty text lets all pass. Words are looked for anywhere in the caption; "in quotes" they are a whole tag, and
    with a * a tag as `matcher` has it. UserError where a tag is missing.
    """
    if not text.strip():
        return lambda caption: True
    choices = [[term(part.strip()) for part in around("and", choice)] for choice in around("or", text)]
    return lambda caption: any(all(check(caption) for check in choice) for choice in choices)


def around(word: str, text: str) -> list[str]:
    """The parts of a filter on both sides of a word that stands in no quotes."""
    hidden = QUOTED.sub(lambda quoted: "\0" * len(quoted[0]), text)
    parts, start = [], 0
    for match in re.finditer(rf"(?:^|\s+){word}(?=\s|$)\s*", hidden, flags=re.IGNORECASE):
        parts.append(text[start : match.start()])
        start = match.end()
    return [*parts, text[start:]]


def term(text: str) -> Callable[[str], bool]:
    negated = re.match(r"not\s+", text, re.IGNORECASE)
    tag = (text[negated.end():] if negated else text).strip()
    if not tag or tag.casefold() in ("and", "or", "not"):
        raise UserError(f"The filter lacks a tag at {text!r}; write for example: cat and not dog, or: missing.")
    if tag.casefold() == "missing":
        return lambda caption: (not caption.strip()) != bool(negated)
    if not QUOTED.fullmatch(tag) and "*" not in tag:
        words = plain(tag)
        return lambda caption: (words in plain(caption)) != bool(negated)
    matches = matcher(tag)
    return lambda caption: any(map(matches, split(caption))) != bool(negated)
