"""A file is whole or not there, also when the power goes."""

import errno
import os
import stat

import pytest

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


def test_what_fails_while_it_is_written_leaves_the_earlier_file(tmp_path):
    files.write_text(tmp_path / "a.txt", "before")
    with pytest.raises(ZeroDivisionError), files.atomic(tmp_path / "a.txt") as unfinished:
        unfinished.write_text("half")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "before"
