"""An earlier run of the same name waits inside the run folder until the new one has a resume point of its own.

Starting anew ("overwrite": true) can still be refused, or fail before its first state; then the earlier run is put
back.
"""

import contextlib
import logging
import shutil
from pathlib import Path

from lib_sdtune.errors import RunError, UserError
from lib_sdtune.formats import structure
from lib_sdtune.formats.files import replace_when_free, write_json
from lib_sdtune.training import state

log = logging.getLogger("sdtune")
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
        try:
            for part in parts:
                replace_when_free(part, waiting / part.name)
        except OSError as error:
            for part in waiting.iterdir():
                part.rename(folder / part.name)
            waiting.rmdir()
            raise UserError(f"{error.filename} of the earlier run could not be put aside: {error.strerror or error}. "
                            "Close the program that has it open, then start again; the run is as it was.") from error


def put_back(folder: Path, reason: str) -> None:
    """If the run ended without a state of its own, the earlier one is there again; its message says why."""
    waiting = folder / FOLDER
    if not waiting.exists() or state.newest(folder) is not None:
        return
    with contextlib.suppress(OSError, ValueError, RunError):  # first: nobody is to meet the earlier run without it
        status = structure.read(waiting / "status.json", dict) or {}
        message = f"Starting anew did not come about: {reason} The earlier run is as it was."
        write_json(waiting / "status.json", status | {"message": message})
    remove(folder)
    try:
        for part in waiting.iterdir():
            replace_when_free(part, folder / part.name)
        waiting.rmdir()
    except OSError as error:
        log.warning("%s of the earlier run could not be put back: %s. It is in %s; close the program that has it open, "
                    "and move what is there one folder up.", error.filename, error.strerror or error, waiting)


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
