"""A new folder that is there with all that belongs into it, or not at all."""

import itertools
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lib_sdtune.formats.files import disk_errors, sync_folder


@dataclass
class Unfinished:
    """path: the hidden folder while it is filled, then the one that it became."""

    path: Path


@contextmanager
def new_folder(folder: Path, name: str) -> Iterator[Unfinished]:
    """A folder to fill, which on success becomes NAME, or NAME-2 and so on; on failure it is removed.

    RunError for what the disk refuses.
    """
    unfinished = Unfinished(folder / f".{secrets.token_hex(4)}.tmp")
    with disk_errors(folder / name):
        unfinished.path.mkdir(parents=True)
        try:
            yield unfinished
            names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
            place = next(path for path in (folder / candidate for candidate in names) if not path.exists())
            unfinished.path = unfinished.path.rename(place)
        except BaseException:
            shutil.rmtree(unfinished.path, ignore_errors=True)
            raise
        sync_folder(folder)
