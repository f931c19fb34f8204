"""Add-on files of a folder and its subfolders, by the names that users type: the file's name without its ending."""

import os
from pathlib import Path

from lib_sdtune.errors import UserError
from lib_sdtune.registry import nearest


def listed(folder, endings):
    """name -> path of every file with one of these endings (lower case). Of equal names the earlier ending wins."""
    files = [Path(root) / name for root, _, names in os.walk(folder) for name in names]
    files = [file for file in files if file.suffix.lower() in endings and not file.stem.lower().endswith(".preview")]
    files.sort(key=lambda file: (endings.index(file.suffix.lower()), str(file).lower()))
    found = {}
    for file in files:
        found.setdefault(file.stem, file)
    return found


def find(folder, name, endings, noun):
    """The file called `name`, with or without its ending. UserError naming the nearest one there is."""
    stem = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in endings else name
    found = listed(folder, endings if stem == name else (Path(name).suffix.lower(),))
    if stem not in found:
        known = listed(folder, endings)
        raise UserError(f"There is no {noun} called {name!r} in {folder}{nearest(stem, known)}.")
    return found[stem]
