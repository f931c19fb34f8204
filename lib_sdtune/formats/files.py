"""Files that are whole or not there: written beside their place, synced, then renamed into it."""

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lib_sdtune.errors import DiskFull, FileRefused, RunError, system_reason
from lib_sdtune.failures import name_too_long

FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EACCES, errno.EPERM, errno.EBUSY, errno.EIO, errno.ESTALE, errno.EROFS, errno.ETIMEDOUT,
           errno.ENOTCONN, errno.EHOSTDOWN)
IN_USE = (5, 32, 33)  # Windows: access denied, sharing violation, lock violation
PATIENCE = 2.0  # seconds that a virus scanner, a synchronised folder or a reader may have a file open
NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.ENOSYS)


@contextmanager
def atomic(path: str | Path, patience: float = PATIENCE, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes `path`, on failure it is removed.

    patience: see `replace_when_free`. durable: wait until the disk has it; else a power cut may leave a broken file.
    """
    path = Path(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".tmp")
        try:
            yield unfinished
            if durable:
                sync(unfinished)
            replace_when_free(unfinished, path, patience)
        finally:
            unfinished.unlink(missing_ok=True)
        if durable:
            sync_folder(path.parent)


def replace_when_free(source: Path, target: Path, patience: float = PATIENCE) -> None:
    """Rename a file or folder over `target`; tried again for `patience` seconds while Windows says that a program has
    one of them open. OSError.
    """
    last_try = time.monotonic() + patience
    while True:
        try:
            return os.replace(source, target)
        except OSError as error:
            if getattr(error, "winerror", None) not in IN_USE or time.monotonic() >= last_try:
                raise
        time.sleep(0.05)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """What the system says against writing `path`, as DiskFull, FileRefused or RunError in a sentence."""
    try:
        yield
    except OSError as error:
        if name_too_long(error):
            raise
        raise not_written(path, error) from error


def not_written(path: Path, error: OSError) -> RunError:
    """What the system says against writing a file, in a sentence."""
    reason = system_reason(error)
    if is_full(error):
        return DiskFull(f"{path.name} could not be written to {path.parent}: {reason}. "
                        "Make room there or give it another folder; earlier files are unharmed.")
    kind = FileRefused if is_refused(error) else RunError
    return kind(f"{path.name} could not be written to {path.parent}: {reason}. Close what has it open, and look "
                "whether that disk is there and may be written; earlier files are unharmed.")


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk, or somebody's share of it, is full."""
    return isinstance(error, DiskFull) or isinstance(error, OSError) and error.errno in FULL


def is_refused(error: BaseException) -> bool:
    """Whether an error says that a file cannot be written now, though there may be room: somebody has it open, its disk
    is away, or it may not be written.
    """
    return isinstance(error, FileRefused) or isinstance(error, OSError) and error.errno in REFUSED


def overwrite_json(path: Path, data: object) -> None:
    """In place, for a full disk, where a file that is there keeps its blocks and a new one would find none; and for a
    file that a reader has open, which Windows lets nobody rename over.

    Not atomic; who reads such files takes a damaged one for none. What the disk refuses all the same is let be.
    """
    content = json.dumps(data, ensure_ascii=False).encode()
    with suppress(OSError), open(path, "r+b") as file:
        file.write(content)
        file.truncate()


def sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and renames there are durable without it
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:  # network drives, FUSE and shared folders of virtual machines cannot do it for a folder
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


def remove_if_empty(folder: Path, stop: Path) -> None:
    """Remove `folder` and its parents below `stop` as long as they are empty."""
    stop = stop.absolute()
    for path in [folder.absolute(), *folder.absolute().parents]:
        if path == stop or stop not in path.parents:
            return
        try:
            path.rmdir()
        except OSError:
            return


def write_text(path: str | Path, text: str, patience: float = PATIENCE) -> None:
    with atomic(path, patience) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: str | Path, data: object, patience: float = PATIENCE) -> None:
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n", patience)


def read_json(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def free_space(folder: str | Path) -> int:
    """Free bytes on the disk that `folder` is on or will be on."""
    return shutil.disk_usage(nearest_existing(folder)).free


def nearest_existing(folder: str | Path) -> Path:
    """The nearest folder above that exists, or `folder` itself."""
    folder = Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def amount(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / 2**20:,.0f} MB" if size < 10 * 2**30 else f"{size / 2**30:,.1f} GB"
