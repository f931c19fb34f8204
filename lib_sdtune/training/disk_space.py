"""Room on the disks: for all planned saves of a run, found out before it starts, and where it runs out meanwhile."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from lib_sdtune.errors import DiskFull, UserError
from lib_sdtune.failures import sentence
from lib_sdtune.formats.files import amount, free_space, is_full
from lib_sdtune.training.control import Control

T = TypeVar("T")

SPARE = 32 * 2**20  # bytes that stay free for logs and pictures


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


def nearest_existing(folder: Path) -> Path:
    """The nearest folder above that exists, or `folder` itself."""
    folder = Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def paused_where_full(
    write: Callable[[], T], control: Control, needed: Callable[[], int], request: str, folder: Path
) -> T | None:
    """What `write()` answers, or None with the run paused where the disk is full.

    needed(): bytes that must be free in `folder` again before the run goes on; `request` is made again then.
    """
    try:
        return write()
    except (DiskFull, OSError) as error:
        if not is_full(error):
            raise
        size = SPARE + needed()
        control.pause_until(sentence(error), lambda: free_space(folder) > size, request)
        return None
