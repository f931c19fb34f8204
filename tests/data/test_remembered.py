import os

import pytest

from lib_sdtune.data import picture, remembered
from lib_sdtune.data.look import look
from lib_sdtune.data.picture import Unreadable
from tests.data import awful


@pytest.fixture
def opened(monkeypatch):
    """The names of the files that were read to their last byte."""
    names = []
    monkeypatch.setattr(remembered, "examine", lambda path, look=None: names.append(path.name) or picture.examine(path, look))
    return names


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "old.png"
    path.write_bytes(awful.data(awful.scene()))
    age(path)
    return path


def age(path, seconds=60):
    seen = path.stat()
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns - seconds * 10**9))


def test_a_picture_that_stays_is_read_once(old, opened):
    first = remembered.examined(old)
    assert remembered.examined(old) == first and opened == ["old.png"]


def test_a_look_is_remembered_and_serves_who_needs_none(old, opened):
    seen = remembered.examined(old, look).seen
    assert remembered.examined(old, look).seen is seen and remembered.examined(old).seen is None
    assert opened == ["old.png"]


def test_a_look_is_taken_where_there_was_none_yet(old, opened):
    remembered.examined(old)
    assert remembered.examined(old, look).seen is not None and opened == ["old.png"] * 2


def test_a_changed_picture_is_read_again(old, opened):
    before = remembered.examined(old)
    old.write_bytes(awful.data(awful.scene(seed=1)))
    age(old, 30)
    assert remembered.examined(old).content != before.content


def test_what_was_written_a_moment_ago_is_not_trusted(old, opened):
    age(old, -60)
    assert remembered.examined(old) == remembered.examined(old) and opened == ["old.png"] * 2


def test_a_broken_picture_is_told_each_time(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"no picture")
    age(path)
    for _ in range(2):
        with pytest.raises(Unreadable, match="not a picture"):
            remembered.examined(path)


def test_memory_has_a_limit(old, monkeypatch):
    monkeypatch.setattr(remembered, "MOST", 1)
    remembered.examined(old)
    other = old.with_name("other.png")
    other.write_bytes(old.read_bytes())
    age(other)
    remembered.examined(other)
    assert [path for path, _ in remembered._known] == [other]
