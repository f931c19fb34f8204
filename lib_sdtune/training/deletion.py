"""A run folder is deleted."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from lib_sdtune.errors import RunError, system_reason
from lib_sdtune.training import run_lock, temporary_files
from lib_sdtune.training.replaced_run import remove_path

LAST = ("config.json", "status.json", run_lock.NAME)  # a folder that could not be emptied is still told to be a run's


def delete(folder: Path, file_folders: Iterable[Path] = ()) -> None:
    """Remove a run folder, and what the run was writing into those of its files when it was killed. NameTaken while it
    is trained, here or by another program; RunError where a file stays.
    """
    try:
        with run_lock.taken(folder):
            temporary_files.sweep(folder, file_folders, folder.name)
            parts = [path for path in folder.iterdir() if path.name not in LAST]
            for path in (*parts, *(folder / name for name in LAST[:-1])):
                remove_path(path)
        shutil.rmtree(folder)  # the lock, which Windows keeps as long as it is held
    except OSError as error:
        raise RunError(f"{folder} could not be deleted to the end: {error.filename or folder}: "
                       f"{system_reason(error)}. Close the program that has it open, then delete the run again."
                       ) from error
