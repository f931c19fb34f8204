"""The names of several files in one sentence."""

from collections.abc import Sequence

from lib_sdtune.data.problem import printable

NAMED = 4  # files of a sentence about several


def first_names(names: Sequence[str], most: int = NAMED) -> str:
    """"1.png, 2.png and 7 more": the first `most`, printable, and how many others there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(printable, names[:most])) + more
