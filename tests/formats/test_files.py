"""A file is whole or not there, also when the power goes."""

import os

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


def test_what_fails_while_it_is_written_leaves_the_earlier_file(tmp_path):
    files.write_text(tmp_path / "a.txt", "before")
    with pytest.raises(ZeroDivisionError), files.atomic(tmp_path / "a.txt") as unfinished:
        unfinished.write_text("half")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "before"
