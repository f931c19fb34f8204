import errno
import os
import shutil
import time
from pathlib import Path

import pytest

from lib_sdtune.data import tags
from lib_sdtune.data.caption_editing import Captions
from lib_sdtune.data.expressions import Substitution
from lib_sdtune.errors import UserError
from tests.data import awful

FILES = {"a.txt": b"ron, cat, red\nsecond line\n", "b.txt": b"ron, cat, blue", "c.caption": "ron, caf\xe9".encode("latin-1")}


@pytest.fixture
def folder(tmp_path):
    for name in "abcd":
        awful.scene(seed=ord(name)).save(tmp_path / f"{name}.png")
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_loading_and_saving_without_a_change_touches_nothing(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    captions = Captions(folder)
    assert [captions[name] for name in captions.entries] == ["ron, cat, red", "ron, cat, blue", "ron, café", ""]
    assert captions.save() == ([], []) and {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_nothing_is_written_before_save_and_the_old_text_is_kept(folder):
    captions = Captions(folder)
    assert captions.edit(lambda caption: tags.add(caption, "new")) == 4
    assert (folder / "a.txt").read_bytes() == FILES["a.txt"]
    written, problems = captions.save(confirmed=captions.guessed())
    assert len(written) == 4 and not problems
    assert (folder / "a.txt").read_text() == "ron, cat, red, new\nsecond line\n" and (folder / "a.txt.bak").read_bytes() == FILES["a.txt"]
    assert (folder / "c.caption").read_text(encoding="utf-8") == "ron, café, new\n" and (folder / "d.txt").read_text() == "new\n"
    assert not (folder / "d.txt.bak").exists() and captions.save() == ([], [])


def test_what_somebody_else_changed_is_left_alone(folder):
    captions = Captions(folder)
    captions.edit(lambda caption: tags.add(caption, "new"))
    (folder / "a.txt").write_text("theirs")
    (folder / "d.txt").write_text("theirs, too")
    (folder / "b.txt").unlink()
    written, problems = captions.save(confirmed=["c.png"])
    assert written == ["c.png"] and [problem.path.name for problem in problems] == ["a.txt", "b.txt", "d.txt"]
    assert (folder / "a.txt").read_text() == "theirs" and (folder / "d.txt").read_text() == "theirs, too"


def test_undo_goes_back_step_by_step(folder):
    captions = Captions(folder)
    captions.edit(lambda caption: tags.add(caption, "x"), captions.select("red"))
    captions.edit(lambda caption: "")
    assert captions["a.png"] == "" and captions.undo() == 3 and captions["a.png"] == "ron, cat, red, x"
    assert captions.undo() == 1 and captions["a.png"] == "ron, cat, red" and captions.undo() == 0 and not captions.changed()


def test_an_edit_that_fails_alters_nothing(folder):
    captions = Captions(folder)
    with pytest.raises(UserError):
        captions.edit(Substitution("(", ""))
    with pytest.raises(UserError, match="no picture"):
        captions.update({"a.png": "x", "../z.png": "y"})
    assert not captions.changed() and captions.undo() == 0


def test_filters_counts_and_what_all_have_in_common(folder):
    captions = Captions(folder)
    assert captions.select("cat and not red") == ["b.png"] and captions.select("missing") == ["d.png"]
    assert captions.counts()[:2] == [("ron", 3), ("cat", 2)] and captions.counts(["a.png"]) == [("ron", 1), ("cat", 1), ("red", 1)]
    assert captions.common() == ["ron"] and captions.common(keep="Ron") == [] and captions.common(0.6, keep="ron") == ["cat"]
    pruned = captions.preview(lambda caption: tags.remove(caption, "cat"))
    assert pruned == {"a.png": ("ron, cat, red", "ron, red"), "b.png": ("ron, cat, blue", "ron, blue")} and not captions.changed()


def test_listed_captions_are_no_changes(folder):
    (folder / "metadata.jsonl").write_text('{"file_name": "d.png", "text": "listed"}')
    captions = Captions(folder)
    assert captions["d.png"] == "listed" and not captions.changed()


@pytest.mark.parametrize("name", ["", "gone", "bare"])
def test_folders_without_captions_to_edit(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError):
        Captions(name)


def test_captions_of_pictures_that_went_are_not_written(folder):
    captions = Captions(folder)
    first, second = list(captions.entries)[:2]
    captions.update({first: "new words", second: "other words"})
    captions.entries[first].picture.unlink()
    captions.entries[second].picture.rename(folder / "renamed.png")
    before = {path.name: path.read_bytes() for path in folder.rglob("*.txt")}
    written, problems = captions.save()
    assert written == [] and [problem.kind for problem in problems] == ["picture gone"] * 2
    assert {path.name: path.read_bytes() for path in folder.rglob("*.txt")} == before
    assert captions.changed() == [first, second]  # nothing that was typed is lost


RUSSIAN = "рыжий кот".encode("cp1251")


def a_day_later(folder):
    for path in folder.glob("*.bak"):
        os.utime(path, (time.time() - 90_000,) * 2)


def test_words_of_a_guessed_encoding_are_told_and_saved_only_when_somebody_confirms_them(folder):
    (folder / "a.txt").write_bytes(RUSSIAN)
    captions = Captions(folder)
    assert 'a.txt (cp1251: "рыжий кот"), c.caption (cp1252: "ron, café")' in captions.problems[0].text
    captions.edit(lambda caption: tags.add(caption, "new"))
    assert captions.guessed() == ["a.png", "c.png"]
    written, problems = captions.save(confirmed=["c.png"])
    assert written == ["b.png", "c.png", "d.png"] and "a.txt is not UTF-8 and was read as cp1251" in problems[0].text
    assert (folder / "a.txt").read_bytes() == RUSSIAN and captions.changed() == ["a.png"]
    assert captions.save(confirmed=captions.guessed()) == (["a.png"], []) and captions.guessed() == []
    assert (folder / "a.txt").read_text(encoding="utf-8") == "рыжий кот, new\n" and captions.problems == []


@pytest.mark.parametrize("earlier", [None, b"a copy of the user's own"])
def test_the_only_copy_in_an_encoding_of_its_own_is_never_replaced(folder, earlier):
    (folder / "a.txt").write_bytes(RUSSIAN)
    if earlier:
        (folder / "a.txt.bak").write_bytes(earlier)
    for number in range(4):
        captions = Captions(folder)
        captions.edit(lambda caption, number=number: tags.add(caption, f"tag{number}"))
        captions.save(confirmed=captions.guessed())
        a_day_later(folder)
    kept = {path.name: path.read_bytes() for path in folder.glob("a.txt*.bak")}
    assert RUSSIAN in kept.values() and (not earlier or kept["a.txt.bak"] == earlier)
    assert "рыжий кот, tag0, tag1, tag2\n".encode() in kept.values() and len(kept) <= 3  # the text before the last day's save


def test_the_text_before_the_first_change_stays_for_good(folder):
    for words in ("one", "two", "three"):
        captions = Captions(folder)
        captions.update({"b.png": words})
        captions.save()
        a_day_later(folder)
    assert (folder / "b.txt.bak").read_bytes() == FILES["b.txt"]
    assert (folder / "b.txt.day.bak").read_text() == "two\n" and len(list(folder.glob("b.txt*.bak"))) == 2


def test_a_copy_that_found_no_room_is_not_taken_for_one(folder, monkeypatch):
    def full(source, target):
        Path(target).write_bytes(b"")
        raise OSError(errno.ENOSPC, "No space left on device")

    captions = Captions(folder)
    captions.update({"b.png": "new words"})
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        with pytest.raises(UserError, match="No space left"):
            captions.save()
    assert (folder / "b.txt").read_bytes() == FILES["b.txt"]
    assert captions.save()[0] == ["b.png"] and (folder / "b.txt.bak").read_bytes() == FILES["b.txt"]


def test_a_caption_that_is_longer_than_what_is_read_is_not_cut(folder):
    content = "".join(f"line {number} of many\n" for number in range(5000))
    (folder / "a.txt").write_text(content)
    captions = Captions(folder)
    assert "64 KiB" in captions.problems[0].text + captions.problems[1].text
    assert captions.edit(lambda caption: tags.add(caption, "new")) == 3
    with pytest.raises(UserError, match="a.txt is larger than 64 KiB"):
        captions.update({"a.png": "typed"})
    captions.save()
    assert (folder / "a.txt").read_text() == content
