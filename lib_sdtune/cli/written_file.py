"""The file that a verb is told to write: refused before any work where something would be lost by it."""

import json
from collections.abc import Callable
from pathlib import Path

from lib_sdtune.errors import NameTaken, UserError
from lib_sdtune.formats.paths import exists, refuse_dead_link


def check_written_file(path: Path, replaceable: Callable[[Path], bool]) -> None:
    """UserError for a folder, and NameTaken for a file that holds something, unless it is `replaceable`."""
    refuse_dead_link(path)
    if path.is_dir():
        raise UserError(f"--out is the folder {path}; name the file to write in it.")
    if exists(path) and path.stat().st_size and not replaceable(path):
        raise NameTaken(f"{path} exists already and would be replaced; give --out another name, or move the file away.")


def is_page(path: Path) -> bool:
    """Whether it is named as a page is, which can be made again."""
    return path.suffix.lower() == ".html"


def is_config(path: Path) -> bool:
    """Whether it holds settings of ours, as an earlier import wrote them, and nothing of another program."""
    from lib_sdtune.config import Config

    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(settings, dict) and "concepts" in settings and set(settings) <= set(Config.__dataclass_fields__)
