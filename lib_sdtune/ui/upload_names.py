"""What uploaded files are called in their new folder, where all lie side by side whatever folders they came from."""

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

MAX_BYTES = 150  # of a name without its ending, numbers and marks apart; systems allow 255 in all


def unique_names(originals: Sequence[PurePosixPath], caption_endings: Sequence[str] = ()) -> list[str]:
    """Plain file names for relative paths, each once and whatever the size of its letters; a picture, its mask and its
    captions, which differ behind the same base alone, stay together: a-2.png, a-2.mask.png, a-2.txt.

    The folder goes in front where without it a file would be taken for one of another folder's picture.
    """
    parts = [split(path, caption_endings) for path in originals]
    folders = [path.parent for path in originals]
    apart = meet(parts, folders, caption_endings)
    names: list[str] = []
    bases: dict[tuple[str, str, int], str] = {}  # (folder, base, which one of that name) -> plain base
    taken: set[str] = set()
    counts: Counter[tuple[str, str, str]] = Counter()
    for (base, ending), folder in zip(parts, folders, strict=True):
        prefix = str(folder) if apart and str(folder) != "." else ""
        occurrence = prefix, base.casefold(), ending
        key = prefix, base.casefold(), counts[occurrence]
        counts[occurrence] += 1
        if key not in bases:
            bases[key] = free(safe_name(f"{prefix}-{base}".replace("/", "-") if prefix else base), taken)
        names.append(bases[key] + ending)
    return names


def split(path: PurePosixPath, caption_endings: Sequence[str]) -> tuple[str, str]:
    """(what a picture, its mask and its captions are called alike, the rest in small letters)."""
    from lib_sdtune.data.masks import MARKS

    name = path.name
    endings = [*caption_endings, *(mark + path.suffix.lower() for mark in MARKS), path.suffix.lower()]
    length = max((len(ending) for ending in endings if name.lower().endswith(ending)), default=0)
    return (name[:-length], name[-length:].lower()) if length else (name, "")


def meet(parts: Sequence[tuple[str, str]], folders: Sequence[PurePosixPath], caption_endings: Sequence[str]) -> bool:
    """Whether, side by side, files of different folders have one name, or pictures of them one base."""
    places: dict[tuple[str, str], set[PurePosixPath]] = {}
    for (base, ending), folder in zip(parts, folders, strict=True):
        is_picture = "." not in ending[1:] and "-" not in ending and ending not in caption_endings
        places.setdefault((base.casefold(), "" if is_picture else ending), set()).add(folder)
    return any(len(found) > 1 for found in places.values())


def free(base: str, taken: set[str]) -> str:
    """The base, or base-2 and so on: one that is not taken yet. It is from then on."""
    candidates = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
    name = next(candidate for candidate in candidates if candidate.casefold() not in taken)
    taken.add(name.casefold())
    return name


def safe_name(stem: str) -> str:
    """A file name without ending, letters that a path could misread replaced."""
    from lib_sdtune.formats.names import allowed

    plain = "".join(letter if allowed(letter) else "_" for letter in stem).strip(". ") or "picture"
    return plain[:100].encode()[:MAX_BYTES].decode(errors="ignore")
