"""One process per run folder: the operating system holds the lock, so that one whose owner was killed is free at once.
"""

import contextlib
import errno
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from lib_sdtune.errors import NameTaken, system_reason
from lib_sdtune.formats.files import disk_errors

NAME = "lock.json"
HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)  # what systems say of a lock that another holds
log = logging.getLogger("sdtune")
TRIES = 5
TRAINING, COMPARING, MOVING = "training", "comparing", "moving"  # what a run folder is taken for
HERE = {
    COMPARING: "The files of the run {} are being compared; wait for that, or stop it first.",
    MOVING: "The files of the run {} are being moved or deleted just now; try again in a moment.",
}
ELSEWHERE = {
    TRAINING: "The run {} is being trained by another program ({}). Wait for it, stop it there, or choose another "
              "name.",
    COMPARING: "The files of the run {} are being compared by another program ({}). Wait for it, or stop it there.",
    MOVING: "The files of the run {} are being moved or deleted by another program ({}); try again in a moment.",
}
_between_runs: dict[Path, str] = {}  # run folders that `taken` has, and for what
_told: set[Path] = set()  # folders of runs whose disk has no locks
_files: dict[Path, TextIO] = {}  # run folder -> its open lock file, of this process
_changing = threading.RLock()  # runs are listed in other threads than they are begun in


class Owner(NamedTuple):
    """The program that has a run folder, as it names itself."""

    name: str
    use: str  # one of those above


def acquire(folder: Path, use: str = TRAINING) -> None:
    """Take the run folder for this process; again is fine. NameTaken, naming the owner, while another process has it.
    """
    with _changing:
        if folder in _between_runs:
            raise NameTaken(HERE[_between_runs[folder]].format(folder.name))
        if folder not in _files:
            _files[folder] = opened(folder, use)


def opened(folder: Path, use: str) -> TextIO:
    """The locked lock file of a run folder. NameTaken, naming the owner, while another process has it; RunError where
    the disk refuses the file.
    """
    with disk_errors(folder / NAME):
        file = open(folder / NAME, "a+", encoding="utf-8")  # noqa: SIM115 - it stays open as long as the lock is held
    try:
        lock_soon(file)
    except OSError as error:
        if error.errno in HELD:
            owner = owner_of(file)
            file.close()
            raise taken_by(folder, owner) from None
        warn_of_no_locks(folder, error)
    file.truncate(0)
    json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S"),
               "use": use}, file)
    file.flush()
    return file


def taken_by(folder: Path, owner: Owner) -> NameTaken:
    return NameTaken(ELSEWHERE[owner.use].format(folder.name, owner.name))


def refuse_held(folder: Path) -> None:
    """NameTaken, naming the owner, while another process has the run folder; nothing is taken."""
    if owner := holder(folder):
        raise taken_by(folder, owner)


@contextlib.contextmanager
def borrowed(folder: Path) -> Iterator[bool]:
    """Whether the run folder was free, also of this process; then it is this block's until its end, which is to come
    soon: nobody takes any run folder meanwhile.
    """
    with _changing:
        is_free = folder not in _files
        if is_free:
            try:
                acquire(folder)
            except NameTaken:
                is_free = False
        try:
            yield is_free
        finally:
            if is_free:
                release(folder)


@contextlib.contextmanager
def taken(folder: Path, use: str = MOVING) -> Iterator[None]:
    """The run folder is this process's meanwhile, and no run's. NameTaken while one is on, here or elsewhere."""
    with _changing:
        if folder in _files:
            raise NameTaken(f"The run {folder.name} is on; wait for it, or stop it first.")
        acquire(folder, use)
        _between_runs[folder] = use
    try:
        yield
    finally:
        _between_runs.pop(folder, None)
        release(folder)


def holder(folder: Path) -> Owner | None:
    """The other program that has the run folder; None where none has it, or nothing can be told."""
    if folder in _files:
        return None
    try:
        with open(folder / NAME, "r+", encoding="utf-8") as file:
            try:
                lock(file, shared=True)
            except OSError as error:
                return owner_of(file) if error.errno in HELD else None
            unlock(file)
    except OSError:  # there was never a lock, or it may not be opened
        pass
    return None


def warn_of_no_locks(folder: Path, error: OSError) -> None:
    """Say once for each place of runs that its disk has no locks; a run there goes on without one."""
    if folder.parent not in _told:
        _told.add(folder.parent)
        log.warning("The disk of %s cannot lock files (%s). Runs there are not kept from being trained by two programs "
                    "at once; see to it that only one does.", folder.parent, system_reason(error))


def release(folder: Path) -> None:
    """Give the run folder back; nothing where this process does not have it."""
    file = _files.pop(folder, None)
    if file is not None:
        with contextlib.suppress(OSError):
            file.truncate(0)  # the file stays: who opened it a moment ago must find the one that others lock
        file.close()


def lock_soon(file: TextIO) -> None:
    """`lock`, tried for a moment: who only asks for the holder has the lock for an instant."""
    for _ in range(TRIES - 1):
        try:
            return lock(file)
        except OSError as error:
            if error.errno not in HELD:
                raise
        time.sleep(0.05)
    lock(file)


def owner_of(file: TextIO) -> Owner:
    """Who says in a lock file to have it; earlier versions only ever said it of a training."""
    try:
        file.seek(0)
        owner = json.load(file)
        use = owner.get("use")
        return Owner(f"process {owner['pid']} on {owner['host']}, since {owner['since']}",
                     use if use in ELSEWHERE else TRAINING)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Owner("its lock file does not say which", TRAINING)


if os.name == "nt":
    import msvcrt

    FAR = 2**30  # Windows lets nobody read locked bytes, so the lock lies far behind the owner's name

    def lock(file: TextIO, shared: bool = False) -> None:  # Windows knows no shared ones here
        file.seek(FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]

    def unlock(file: TextIO) -> None:
        file.seek(FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
else:
    import fcntl

    def lock(file: TextIO, shared: bool = False) -> None:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def unlock(file: TextIO) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
