"""A file is whole or not there, also when the power goes."""

import errno
import os
import stat

import pytest

from lib_sdtune.errors import DiskFull, FileRefused
from lib_sdtune.formats import files


def test_a_file_is_on_the_disk_before_it_takes_its_place_and_the_folder_after_it(tmp_path, monkeypatch):
    order, replace = [], os.replace

    def synced(handle):
        order.append(("synced", os.fstat(handle).st_ino))

    def renamed(source, target):
        order.append(("renamed", os.stat(source).st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    files.write_json(tmp_path / "new" / "a.json", {"a": 1})
    file, folder = (os.stat(path).st_ino for path in (tmp_path / "new" / "a.json", tmp_path / "new"))
    expected = [("synced", file), ("renamed", file), ("synced", folder)]
    assert order == (expected[:2] if os.name == "nt" else expected)  # Windows cannot open a folder


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_a_disk_that_cannot_sync_a_folder_takes_files_all_the_same(tmp_path, monkeypatch, code):
    """Windows' shares, FUSE and the shared folders of virtual machines say so after the file is in its place."""
    sync = os.fsync

    def of_files(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))
        sync(handle)

    monkeypatch.setattr(os, "fsync", of_files)
    files.write_json(tmp_path / "a.json", 1)
    assert files.read_json(tmp_path / "a.json") == 1


def in_use(code=32):
    error = PermissionError(errno.EACCES, "The process cannot access the file because it is being used by another process")
    error.winerror = code
    return error


@pytest.mark.parametrize("code", [5, 32])
def test_a_file_that_somebody_reads_on_windows_is_tried_again(tmp_path, monkeypatch, code):
    replace, refusals = os.replace, [in_use(code), in_use(code)]

    def refusing(source, target):
        if refusals:
            raise refusals.pop()
        replace(source, target)

    monkeypatch.setattr(os, "replace", refusing)
    files.write_json(tmp_path / "a.json", 1)
    assert files.read_json(tmp_path / "a.json") == 1 and not refusals


@pytest.mark.parametrize("error", [in_use(), PermissionError(errno.EACCES, "Permission denied"), OSError(errno.EIO, "Input/output error"),
                                   OSError(errno.ESTALE, "Stale file handle")])
def test_make_room_is_said_of_a_full_disk_alone(tmp_path, monkeypatch, error):
    def refusing(source, target):
        raise error

    monkeypatch.setattr(os, "replace", refusing)
    monkeypatch.setattr(files, "PATIENCE", 0)
    with pytest.raises(FileRefused, match="Close what has it open, and look whether that disk is there") as caught, files.atomic(tmp_path / "a", 0) as unfinished:
        unfinished.write_text("")
    assert "Make room" not in str(caught.value) and not list(tmp_path.iterdir())
    error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(DiskFull, match="Make room"):
        files.write_text(tmp_path / "a", "")


def test_what_fails_while_it_is_written_leaves_the_earlier_file(tmp_path):
    files.write_text(tmp_path / "a.txt", "before")
    with pytest.raises(ZeroDivisionError), files.atomic(tmp_path / "a.txt") as unfinished:
        unfinished.write_text("half")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "before"


def test_what_is_written_in_place_is_all_that_is_there_and_makes_no_file(tmp_path):
    """The file keeps its place on the disk, for a reader that has it open, and for a disk that is full."""
    path = tmp_path / "a.json"
    files.overwrite_json(path, [])
    assert not path.exists()
    files.write_json(path, {"text": "longer than what comes next"})
    place = path.stat().st_ino
    files.overwrite_json(path, {"é": 1})
    assert files.read_json(path) == {"é": 1} and path.stat().st_ino == place
