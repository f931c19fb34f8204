"""An earlier run of the same name waits inside the run folder until the new one has a resume point of its own.

Starting anew ("overwrite": true) can still be refused, or fail before its first state; then the earlier run is put
back.
"""

import contextlib
import shutil
from pathlib import Path

from lib_sdtune.errors import DiskFull
from lib_sdtune.formats import structure
from lib_sdtune.formats.files import write_json
from lib_sdtune.training import state

FOLDER = "replaced"
PARTS = (
    "state",
    "samples",
    "tensorboard",
    "aside",
    "choose",
    "thumbnails",
    "log.csv",
    "run.log",
    "status.json",
    "config.json",
    "checkpoint.json",
    "teacher.safetensors",
    "pictures.json",
)
"""What a run leaves in its own folder."""


def put_aside(folder: Path) -> None:
    """Move what an earlier run left into `folder`/replaced, by renaming. What waits there already is kept instead."""
    waiting = folder / FOLDER
    if waiting.exists():  # an attempt before this one was killed before its first state
        remove(folder)
        return
    parts = [folder / name for name in PARTS if (folder / name).exists()]
    if state.newest(folder) is None:  # nothing that could be resumed
        remove(folder)
    elif parts:
        waiting.mkdir()
        for part in parts:
            part.rename(waiting / part.name)


def put_back(folder: Path, reason: str) -> None:
    """If the run ended without a state of its own, the earlier one is there again; its message says why."""
    waiting = folder / FOLDER
    if not waiting.exists() or state.newest(folder) is not None:
        return
    with contextlib.suppress(OSError, ValueError, DiskFull):  # first: nobody is to meet the earlier run without it
        status = structure.read(waiting / "status.json", dict) or {}
        message = f"Starting anew did not come about: {reason} The earlier run is as it was."
        write_json(waiting / "status.json", status | {"message": message})
    remove(folder)
    for part in waiting.iterdir():
        part.rename(folder / part.name)
    waiting.rmdir()


def drop(folder: Path) -> None:
    """The new run can be resumed now; the earlier one goes."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a run's parts from its own folder, and nothing else."""
    for name in PARTS:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
