"""The text of a caption file before it is edited, beside it.

NAME.bak is the text before the first change, and is never written again; NAME.day.bak that before the first save of
the latest day. One whose bytes are no UTF-8 may be the only copy in its own encoding, and stays too.
"""

import shutil
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from lib_sdtune.data import text
from lib_sdtune.formats.files import atomic

DAY = 86400  # seconds


def back_up(file: Path, exactly: bool = False) -> None:
    """Copy `file` beside itself, unless that was done in the last 24 hours. RunError where it can't be written.

    exactly: only a copy of the same bytes will do.
    """
    for backup in candidates(file):
        if not backup.exists() or is_replaceable(backup, file):
            break
        if backup.is_file() and (backup.read_bytes() == file.read_bytes() if exactly else is_of_today(backup)):
            return
    with atomic(backup) as unfinished:
        shutil.copyfile(file, unfinished)


def candidates(file: Path) -> Iterator[Path]:
    """Where a copy may be, in the order in which they are taken."""
    yield file.with_name(f"{file.name}.bak")
    yield file.with_name(f"{file.name}.day.bak")
    for number in count(2):
        yield file.with_name(f"{file.name}.day-{number}.bak")


def is_of_today(backup: Path) -> bool:
    """Whether a file was written in the last 24 hours: it holds the text before a day's first save, not its last."""
    return 0 <= time.time() - backup.stat().st_mtime < DAY


def is_replaceable(backup: Path, file: Path) -> bool:
    """Whether a copy of an earlier day may give way."""
    return (backup.name != f"{file.name}.bak" and backup.is_file() and not is_of_today(backup)
            and not text.is_guess(text.read(backup)[1]) and not text.is_cut(backup))
