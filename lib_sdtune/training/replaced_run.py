"""An earlier run of the same name waits inside the run folder until the new one has a resume point of its own.

Starting anew ("overwrite": true) can still be refused, or fail before its first state; then the earlier run is put
back. All of it moves, whatever a run leaves, so that no file of one run is met by another. Where a move was cut off,
what it had moved lies in a folder of another name (`HALFWAY`) and belongs to what is in the run folder.
"""

import contextlib
import logging
import shutil
from pathlib import Path

from lib_sdtune.errors import DiskFull, RunError, UserError, system_reason
from lib_sdtune.formats import structure
from lib_sdtune.formats.files import replace_when_free, write_json
from lib_sdtune.training import log_csv, run_lock, state, temporary_files

log = logging.getLogger("sdtune")
FOLDER, HALFWAY = "replaced", "replaced-halfway"
STAYS = (FOLDER, HALFWAY, run_lock.NAME)
OWN = (
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
    "best.safetensors",
    "words.json",
    "pictures.json",
)
"""What a run leaves in its own folder, and what goes with it; anything else there is somebody's."""
FIRST_SAMPLES = "step00000000-"
CUT_OFF = "The program ended before the new run had a resume point."
STOPPED = "It was stopped before it had a resume point."


def worth_keeping(folder: Path) -> list[str]:
    """Names of what an earlier run left that is missed when it goes: [] where it came to nothing.

    The samples before the first step and the log of a run that left no file are made again.
    """
    names = ["state"] if state.newest(folder) else []
    if any((folder / "choose").glob("*")):
        names.append("choose")
    if any(not path.name.startswith(FIRST_SAMPLES) and path.suffix != temporary_files.ENDING
           for path in (folder / "samples").glob("*")):
        names.append("samples")
    if log_csv.read(folder / "log.csv") and left_files(folder):
        names.append("log.csv")
    return names


def left_files(folder: Path) -> bool:
    """Whether a run says that it has left files, wherever they are now, or does not say."""
    status = structure.read(folder / "status.json", dict) or {"state": "finished"}
    return bool(status.get("artefacts")) or status.get("state") == "finished"


def put_aside(folder: Path) -> None:
    """Move what an earlier run left into `folder`/replaced, by renaming. What waits there already is kept instead.

    UserError where a file cannot be moved; then all of it is where it was.
    """
    waiting, halfway = folder / FOLDER, folder / HALFWAY
    try:
        bring_back(folder)
        if state.newest(folder) is not None:
            drop(folder)  # what one that this run replaced left behind
        elif waiting.exists() or not worth_keeping(folder):
            remove(folder)
            return
        halfway.mkdir()
        for part in parts(folder):
            replace_when_free(part, halfway / part.name)
        replace_when_free(halfway, waiting)
    except OSError as error:
        with contextlib.suppress(OSError):  # else it is done when runs are next listed
            bring_back(folder)
        raise UserError(
            f"The earlier run {folder.name} cannot be put aside: {error.filename} cannot be moved "
            f"({system_reason(error)}). Close the programs that have its files open, and start again; the earlier "
            "run is as it was."
        ) from error


def put_back(folder: Path, reason: str) -> None:
    """If the run ended without a state of its own, the earlier one is there again; its message says why.

    Where a file cannot be moved the earlier run goes on waiting, and is put back when runs are next listed.
    """
    waiting = folder / FOLDER
    try:
        bring_back(folder)
        if state.newest(folder) is not None:
            drop(folder)
        elif waiting.exists():
            note(waiting, reason)
            if not is_half_moved(waiting):
                remove(folder)
            replace_when_free(waiting, folder / HALFWAY)
            bring_back(folder)
    except OSError as error:
        log.warning("The earlier run %s could not be put back yet: %s (%s). Close the programs that have its files "
                    "open; it is put back when runs are listed again.", folder.name, error.filename,
                    system_reason(error))


def is_half_moved(waiting: Path) -> bool:
    """Whether an earlier version, which moved a run's settings last, was cut off or failed while it moved them."""
    return (waiting / "state").exists() and not (waiting / "config.json").exists()


def recover(folder: Path) -> None:
    """Put back an earlier run whose replacement was cut off before its first state; nothing while anybody has the
    folder.
    """
    if (folder / FOLDER).exists() or (folder / HALFWAY).exists():
        with contextlib.suppress(OSError, RunError), run_lock.borrowed(folder) as is_free:
            if is_free:
                put_back(folder, CUT_OFF)


def note(waiting: Path, reason: str) -> None:
    """The status of the run that waits says why it is back, from the first moment on."""
    reason = reason if reason.endswith(".") else STOPPED
    with contextlib.suppress(OSError, ValueError, RunError, DiskFull):
        if status := structure.read(waiting / "status.json", dict):
            message = f"Starting anew did not come about: {reason} The earlier run is as it was."
            write_json(waiting / "status.json", status | {"message": message})


def bring_back(folder: Path) -> None:
    """Move what a move that was cut off left halfway back into the run folder."""
    halfway = folder / HALFWAY
    if halfway.exists():
        for part in list(halfway.iterdir()):
            restore(part, folder)
        halfway.rmdir()


def restore(part: Path, folder: Path) -> None:
    """Move one thing into the run folder. What is a run's takes its place; what is somebody's gives way to another of
    its name.
    """
    target = folder / part.name
    if part.name in OWN:
        remove_path(target)
    while target.exists():
        target = target.with_name(f"{target.stem} (earlier){target.suffix}")
    replace_when_free(part, target)


def drop(folder: Path) -> None:
    """The new run can be resumed now; the earlier one goes, without what was somebody's own in its folder."""
    waiting = folder / FOLDER
    with contextlib.suppress(OSError):
        for part in list(waiting.iterdir()):
            if part.name not in OWN:
                restore(part, folder)
    shutil.rmtree(waiting, ignore_errors=True)


def parts(folder: Path) -> list[Path]:
    """Everything that an earlier run left in its folder."""
    return sorted(path for path in folder.iterdir() if path.name not in STAYS)


def remove(folder: Path) -> None:
    """Remove a run's parts from its own folder, and nothing else."""
    for name in OWN:
        remove_path(folder / name)


def remove_path(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
