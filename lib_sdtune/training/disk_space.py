"""Room on the disks: for all planned saves of a run, found out before it starts, and where it runs out meanwhile."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from lib_sdtune.errors import DiskFull, FileRefused, UserError
from lib_sdtune.failures import sentence
from lib_sdtune.formats.files import amount, free_space, is_full, is_refused, nearest_existing, not_written
from lib_sdtune.training.control import Control

T = TypeVar("T")

SPARE = 32 * 2**20  # bytes that stay free for logs and pictures

LOOK_EVERY = 5.0  # seconds between two looks whether a refused file would be taken now


def refuse_too_little_disk(needs: Iterable[tuple[Path, int]]) -> None:
    """needs: [(folder, bytes), ...]. UserError when a disk cannot take all that is to be written to it."""
    by_disk: dict[int, list[tuple[Path, int]]] = {}
    for folder, size in needs:
        by_disk.setdefault(os.stat(nearest_existing(folder)).st_dev, []).append((folder, size))
    for entries in by_disk.values():
        folder, needed = entries[0][0], sum(size for _, size in entries) + SPARE
        free = free_space(folder)
        if needed > free:
            raise UserError(
                f"The run needs about {amount(needed)} of disk space in {folder} and {amount(free)} are free. "
                "Make room, or save less often."
            )


def paused_where_refused(
    write: Callable[[], T], control: Control, needed: Callable[[], int], request: str, folder: Path
) -> T | None:
    """What `write()` answers, or None with the run paused where the disk is full, away, or refuses the file.

    needed(): bytes that must be free in `folder` again before the run goes on; `request` is made again then.
    """
    try:
        return write()
    except (DiskFull, FileRefused, OSError) as error:
        if is_full(error):
            size = SPARE + needed()
            control.pause_until(sentence(error), lambda: has_room(folder, size), request)
        elif is_refused(error):
            refused = not_written(Path(error.filename or folder), error) if isinstance(error, OSError) else error
            control.pause_until(sentence(refused), Mended(folder), request)
        else:
            raise
        return None


def has_room(folder: Path, size: int) -> bool:
    """Whether more than `size` bytes are free; no where the disk cannot be asked."""
    try:
        return free_space(folder) > size
    except OSError:
        return False


class Mended:
    """Called again and again, it tells after a while that a file which was refused is worth another try."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.next_look = folder, time.monotonic() + LOOK_EVERY

    def __call__(self) -> bool:
        if time.monotonic() < self.next_look:
            return False
        self.next_look = time.monotonic() + LOOK_EVERY
        return takes_files(self.folder)


def takes_files(folder: Path) -> bool:
    """Whether a file can be made in the folder, or the nearest one above that is there.

    It is tried, because rights on network drives are not what they say.
    """
    try:
        with tempfile.TemporaryFile(dir=nearest_existing(folder)) as file:
            file.write(b"?")
            file.flush()
        return True
    except OSError:
        return False
