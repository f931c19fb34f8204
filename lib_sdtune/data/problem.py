"""What is odd about a data set, in sentences."""

from dataclasses import dataclass
from pathlib import Path

from lib_sdtune.errors import one_line


@dataclass(frozen=True)
class Problem:
    """Something that the owner of a data set should know, in one sentence.

    fatal: the file is not used. kind: a word or two for it.
    """

    path: Path
    text: str
    fatal: bool = False
    kind: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", one_line(self.text))


def printable(text: object) -> str:
    """A path or name that can be printed everywhere, even if its bytes are no text."""
    return str(text).encode("utf-8", "replace").decode()
