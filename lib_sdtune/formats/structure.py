"""JSON from the disk is believed only where it has the structure that its reader counts on: a file may be empty, cut
short, of another version, or somebody else's.
"""

import math
from pathlib import Path
from typing import Any

from lib_sdtune.formats.files import read_json

NUMBER = (int, float)


def read(path: Path, structure: Any) -> Any | None:
    """What a JSON file holds; None where it is missing, damaged, or does not fit the structure (see `fits`)."""
    try:
        data = read_json(path)
    except (OSError, ValueError, RecursionError):
        return None
    return data if fits(data, structure) else None


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return fits(value, NUMBER)


def fits(value: Any, structure: Any) -> bool:
    """Whether a value has a structure: a type, None, [structure of each], {key: structure} of those that must be there,
    beside others, or a tuple of structures of which it has one. Numbers are finite, and true and false are none.

    >>> fits({"files": ["a"], "more": 1}, {"files": [str]})
    True
    """
    if isinstance(structure, dict):
        return isinstance(value, dict) and all(key in value and fits(value[key], structure[key]) for key in structure)
    if isinstance(structure, list):
        return isinstance(value, list) and all(fits(entry, structure[0]) for entry in value)
    if isinstance(structure, tuple):
        return any(fits(value, alternative) for alternative in structure)
    if structure is None or isinstance(value, bool):
        return value is None if structure is None else structure is bool
    return isinstance(value, structure) and not (isinstance(value, float) and not math.isfinite(value))
