"""The file that a verb is told to write: refused before any work where something would be lost by it."""

from pathlib import Path

from lib_sdtune.errors import NameTaken, UserError
from lib_sdtune.formats.paths import exists, refuse_dead_link


def check_written_file(path: Path, replaces: str = "") -> None:
    """UserError for a folder, and NameTaken for a file that is there, unless its name ends as `replaces` says."""
    refuse_dead_link(path)
    if path.is_dir():
        raise UserError(f"--out is the folder {path}; name the file to write in it.")
    if exists(path) and not (replaces and path.suffix.lower() == replaces):
        raise NameTaken(f"{path} exists already and would be replaced; give --out another name, or move the file away.")
