"""Model files of a folder and its subfolders, by the names that users type: the file's name without its ending."""

import os
from collections.abc import Sequence
from pathlib import Path

from lib_sdtune.errors import UserError
from lib_sdtune.registry import nearest


def by_name(folder: str | Path, endings: Sequence[str]) -> dict[str, Path]:
    """name -> path of every file with one of these endings (lower case).

    Of equal names the earlier ending wins, then the file in the folder that is higher up.
    """
    paths = [Path(root) / name for root, _, names in os.walk(folder, followlinks=True) for name in names]
    paths = [path for path in paths if path.suffix.lower() in endings and not path.stem.lower().endswith(".preview")]
    paths.sort(key=lambda path: (endings.index(path.suffix.lower()), len(path.parts), str(path).lower()))
    return {path.stem: path for path in reversed(paths)}


def find(folder: str | Path, name: str, endings: Sequence[str], noun: str) -> Path:
    """The file called `name`, with or without its ending. UserError naming the nearest one there is."""
    stem = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in endings else name
    paths = by_name(folder, endings if stem == name else (Path(name).suffix.lower(),))
    if stem not in paths:
        what = f"no {noun}"
        raise UserError(f"There is {what} called {name!r}{nearest(stem, by_name(folder, endings))} in {folder}.")
    return paths[stem]
