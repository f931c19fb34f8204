"""Which uploaded files are taken, and what is said of the others."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from lib_sdtune.data.listing import first_names


def is_taken(name: str, caption_endings: Sequence[str]) -> bool:
    """Whether a file is a picture that can be read here, by its ending, or a caption."""
    from lib_sdtune.data.kinds import PLUGGED_IN, SUFFIXES, accepted

    suffix = PurePosixPath(name).suffix.lower()
    return not is_of_system(name) and (
        suffix in SUFFIXES or suffix in PLUGGED_IN and PLUGGED_IN[suffix] in accepted()
        or name.lower().endswith(tuple(caption_endings)))


def is_of_system(name: str) -> bool:
    """Whether a system keeps a file of that name beside others: nobody misses it."""
    from lib_sdtune.data.walk import SYSTEM

    return name.startswith("._") or name == ".DS_Store" or name.lower() in SYSTEM


def not_taken(names: Sequence[str]) -> list[str]:
    """What is said of files that are neither pictures nor captions, in sentences."""
    names = [name for name in names if not is_of_system(name)]
    if not names:
        return []
    return [f"Not taken, for these are no pictures that can be read here and no captions: {first_names(names)}."]
