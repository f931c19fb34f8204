"""Settings as another program's file has them: a name, and a value that may still be text.

Files write numbers as text, "" for "not set", 1.0 for a count, and "False" or 0 for false; here that is read once.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

UNSET = ("", "none", "null", "undefined")
TRUE, FALSE = ("true", "$true", "1", "1.0", "yes", "on"), ("false", "$false", "0", "0.0", "no", "off", *UNSET)
SECRET = re.compile(r"api_?key|password|secret|(hf|huggingface|access|auth|hub|wandb)_?token", re.IGNORECASE)
MAX_VALUE_LENGTH = 60  # characters of a value that are shown


@dataclass(frozen=True)
class Entry:
    """One setting of a file: `key` as the file calls it, `value` as it stands there, `source` the file's name.

    `words`: what stands there, where `value` is already another program's word for it.
    """

    key: str
    value: Any
    source: str = ""
    words: str = ""

    @property
    def is_unset(self) -> bool:
        """Whether it says nothing: null, or a text that means so."""
        if isinstance(self.value, str):
            return self.value.strip().lower() in UNSET
        return self.value is None or self.value == [] or self.value == {}

    def agrees(self, other: "Entry") -> bool:
        """Whether both say the same: "512" and 512 do, and "True" and true."""
        return plain(self.value) == plain(other.value)

    def __str__(self) -> str:
        return f"{self.key} = {self.words or abridged(self.value)}"


class Entries(dict[str, Entry]):
    """name -> `Entry`, under the names that the table of the program has. `used`: names that were translated."""

    def __init__(self) -> None:
        super().__init__()
        self.used: set[str] = set()

    def record(self, name: str, value: Any, key: str = "", source: str = "", words: str = "") -> None:
        """Add a setting; `key` is what the file calls it where that is another name."""
        self[name] = Entry(key or name, value, source, words)

    def take(self, name: str) -> Entry | None:
        """The entry, None where it is absent or says nothing; it counts as translated."""
        self.used.add(name)
        entry = self.get(name)
        return None if entry is None or entry.is_unset else entry

    def take_switch(self, name: str) -> Entry | None:
        """The entry of a switch that is on; it counts as translated."""
        entry = self.take(name)
        return entry if entry and is_on(entry.value) else None

    def is_on(self, name: str) -> bool:
        """Whether that is a switch that is on; it does not count as translated."""
        return name in self and is_on(self[name].value)

    def unused(self) -> Iterator[tuple[str, Entry]]:
        """(name, entry) of what nothing has translated yet."""
        return ((name, entry) for name, entry in self.items() if name not in self.used)


def number(value: Any) -> float | int:
    """A finite number from a number or its text; whole ones as int. ValueError otherwise."""
    if isinstance(value, bool):
        return int(value)
    try:
        result = from_text(value.strip()) if isinstance(value, str) else value
        if isinstance(result, int | float) and math.isfinite(result):
            return result
    except (ValueError, OverflowError):  # their words are for programmers
        pass
    raise ValueError("not a number")


def from_text(text: str) -> float | int:
    try:
        return int(text)
    except ValueError:
        return float(text)


def plain(value: Any) -> Any:
    """A number or a switch as what it is, also where it is written as text; anything else as it stands."""
    try:
        return number({"true": True, "false": False}.get(str(value).strip().lower(), value))
    except ValueError:
        return value


def integer(value: Any) -> int:
    """A whole number; 64.0 and "64" are one. ValueError otherwise."""
    result = number(value)
    if result != int(result):
        raise ValueError("not a whole number")
    return int(result)


def fraction(value: Any) -> float:
    return float(number(value))


def flag(value: Any) -> bool:
    """True or false from what files write for it. ValueError otherwise."""
    text = str(value).strip().lower()
    if text in TRUE or text in FALSE:
        return text in TRUE
    raise ValueError("neither true nor false")


def is_on(value: Any) -> bool:
    """Whether a switch is on; what is neither true nor false is off."""
    return str(value).strip().lower() in TRUE


def text(value: Any) -> str:
    """Any value as a text."""
    return str(value).strip()


def anything(value: Any) -> Any:
    return value


READERS = {int: integer, float: fraction, bool: flag, str: text, list: anything}


def is_secret(name: str) -> bool:
    """Whether a setting of that name holds a key or a password, which is never copied or shown."""
    return bool(SECRET.search(name))


def abridged(value: Any) -> str:
    """A value for a sentence, on one line and not too long."""
    result = str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
    result = "".join(letter if letter.isprintable() else " " for letter in result)
    if len(result) > MAX_VALUE_LENGTH:
        return result[: MAX_VALUE_LENGTH - 3] + "..."
    return result or '""'
