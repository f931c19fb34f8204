"""One process per run folder: the operating system holds the lock, so that one whose owner was killed is free at once.
"""

import contextlib
import errno
import json
import logging
import os
import socket
import time
from pathlib import Path
from typing import TextIO

from lib_sdtune.errors import NameTaken

NAME = "lock.json"
HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)  # what systems say of a lock that another holds
log = logging.getLogger("sdtune")
_told: set[Path] = set()  # folders of runs whose disk has no locks
_files: dict[Path, TextIO] = {}  # run folder -> its open lock file, of this process


def acquire(folder: Path) -> None:
    """Take the run folder for this process; again is fine. NameTaken, naming the owner, while another process has it.
    """
    if folder in _files:
        return
    file = open(folder / NAME, "a+", encoding="utf-8")  # noqa: SIM115 - it stays open as long as the lock is held
    try:
        lock(file)
    except OSError as error:
        if error.errno in HELD:
            owner = describe_owner(file)
            file.close()
            raise NameTaken(
                f"The run {folder.name} is being trained by another program ({owner}). Wait for it, stop it there, "
                "or choose another name."
            ) from None
        warn_of_no_locks(folder, error)
    file.truncate(0)
    json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}, file)
    file.flush()
    _files[folder] = file


def warn_of_no_locks(folder: Path, error: OSError) -> None:
    """Say once for each place of runs that its disk has no locks; a run there goes on without one."""
    if folder.parent not in _told:
        _told.add(folder.parent)
        log.warning("The disk of %s cannot lock files (%s). Runs there are not kept from being trained by two programs "
                    "at once; see to it that only one does.", folder.parent, error.strerror or error)


def release(folder: Path) -> None:
    """Give the run folder back; nothing where this process does not have it."""
    file = _files.pop(folder, None)
    if file is not None:
        with contextlib.suppress(OSError):
            file.truncate(0)  # the file stays: who opened it a moment ago must find the one that others lock
        file.close()


def describe_owner(file: TextIO) -> str:
    try:
        file.seek(0)
        owner = json.load(file)
        return f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its lock file does not say which"


if os.name == "nt":
    import msvcrt

    FAR = 2**30  # Windows lets nobody read locked bytes, so the lock lies far behind the owner's name

    def lock(file: TextIO) -> None:
        file.seek(FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
else:
    import fcntl

    def lock(file: TextIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
