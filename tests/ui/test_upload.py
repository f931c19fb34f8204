"""Uploaded pictures land in their own folder under names that cannot lead elsewhere."""

import errno
import json
import shutil
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import gradio as gr
import pytest
from PIL import Image

from lib_sdtune.data import kinds
from lib_sdtune.data.walk import walk
from lib_sdtune.errors import RunError, UserError
from lib_sdtune.ui import upload
from lib_sdtune.ui.upload_names import unique_names


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "blob"
    path.write_bytes(b"bytes")
    return path


def test_pictures_and_captions_are_kept_and_the_rest_is_not(file, tmp_path):
    place = upload.save([(file, "a.PNG"), (file, "a.txt"), (file, "evil.py"), (file, "日本語 é (1).jpg")], "ron", tmp_path / "pictures").folder
    assert place == tmp_path / "pictures" / "ron"
    assert sorted(path.name for path in place.iterdir()) == ["a.png", "a.txt", "日本語 é _1_.jpg"]


@pytest.mark.parametrize("original", ["../../out.png", "..\\..\\out.png", "/etc/out.png", "C:\\out.png", "a/../../out.png"])
def test_names_with_paths_stay_in_the_folder(file, tmp_path, original):
    place = upload.save([(file, original)], "ron", tmp_path / "pictures").folder
    assert [path.name for path in place.iterdir()] == ["out.png"]
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("original, name", [("...png", "picture.png"), (".png.png", "png.png"), ("nul\0.png", "nul_.png"),
                                            ("x" * 300 + ".png", "x" * 100 + ".png")])
def test_odd_names_become_plain(original, name):
    assert unique_names([PurePosixPath(original)]) == [name]


def test_names_that_are_alike_after_cleaning_stay_apart_and_captions_beside_their_pictures(tmp_path):
    names = ["d!1.png", "d+1.png", "d!1.txt", "d+1.txt", "D_1.jpg", "a.png", "a.txt", "a.png", "a.txt", "a.webp"]
    files = []
    for number, name in enumerate(names):
        (tmp_path / str(number)).write_text(name)
        files.append((tmp_path / str(number), name))
    place = upload.save(files, "", tmp_path / "pictures").folder
    assert {path.name: path.read_text() for path in place.iterdir()} == {
        "d_1.png": "d!1.png", "d_1.txt": "d!1.txt", "d_1-2.png": "d+1.png", "d_1-2.txt": "d+1.txt", "D_1-3.jpg": "D_1.jpg",
        "a.png": "a.png", "a.txt": "a.txt", "a-2.png": "a.png", "a-2.txt": "a.txt", "a.webp": "a.webp"}


@pytest.mark.parametrize("name", ["", "ron"])
def test_each_upload_is_a_set_of_its_own(file, tmp_path, name):
    places = [upload.save([(file, original)], name, tmp_path).folder for original in ("cat.png", "dog.png", "cat.png")]
    assert [place.name for place in places] == [f"{name or 'upload'}{ending}" for ending in ("", "-2", "-3")]
    assert [[path.name for path in place.iterdir()] for place in places] == [["cat.png"], ["dog.png"], ["cat.png"]]


def test_nothing_useful_is_refused_and_a_bad_run_name_too(file, tmp_path):
    with pytest.raises(UserError, match="None of these files"):
        upload.save([(file, "a.exe")], "ron", tmp_path)
    with pytest.raises(UserError, match="name"):
        upload.save([(file, "a.png")], "../ron", tmp_path)
    assert not (tmp_path / "ron").exists()


def test_files_of_the_server_are_not_taken_for_uploads(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    button = upload.UploadButton(file_count="multiple")
    for path in (str(secret), str(Path(button.DEFAULT_TEMP_DIR) / ".." / secret.relative_to("/"))):
        with pytest.raises(gr.Error):
            button.preprocess([{"name": path, "orig_name": "a.png", "data": None, "is_file": True}])
    uploaded = Path(button.DEFAULT_TEMP_DIR) / "tests" / "a.png"
    uploaded.parent.mkdir(parents=True, exist_ok=True)
    uploaded.write_bytes(b"picture")
    files = button.preprocess([{"name": str(uploaded), "orig_name": "a.png", "data": None, "is_file": True}])
    assert Path(files[0].name).read_bytes() == b"picture"


@pytest.mark.parametrize("file", [SimpleNamespace(name="/tmp/x1/a b.png", orig_name="a b.png"), SimpleNamespace(name="/tmp/x1/a b.png"),
                                  "/tmp/x1/a b.png"])
def test_an_upload_has_its_name_in_every_gradio(file):
    assert upload.original_name(file) == "a b.png"


@pytest.fixture
def saved(tmp_path):
    """saved({path: text or Image, ...}, **how) -> ({name: text} of the set, how each picture is read, notes)."""

    def save(contents, **how):
        files = []
        for number, (path, content) in enumerate(contents):
            file = tmp_path / f"blob{number}"
            content.save(file, "PNG") if isinstance(content, Image.Image) else file.write_text(content, encoding="utf-8")
            files.append((file, path))
        pictures = upload.save(files, "set", tmp_path / "pictures", **how)
        problems = []
        read = {picture.relative: picture for picture in walk(pictures.folder, problems, how.get("caption_extension", ""))}
        return sorted(path.name for path in pictures.folder.iterdir()), read, pictures.notes

    return save


PICTURE = Image.new("RGB", (64, 64))
ROWS = '{"file_name": "0.png", "text": "a red ron"}\n{"file_name": "1.png", "text": "a green ron"}\n'


def test_a_list_of_captions_comes_along_and_what_does_not_is_named(saved, monkeypatch):
    monkeypatch.setattr(kinds, "accepted", lambda: ["PNG"])
    names, read, notes = saved([("0.png", PICTURE), ("1.png", PICTURE), ("metadata.jsonl", ROWS), ("IMG_1.heic", "x"), ("._0.png", ""),
                                *((f"{letter}.psd", "") for letter in "abcd"), ("Thumbs.db", "")])
    assert names == ["0.png", "1.png", "metadata.jsonl"] and read["1.png"].metadata_caption == "a green ron"
    assert notes == ["Not taken, for these are no pictures that can be read here and no captions: "
                     "IMG_1.heic, a.psd, b.psd, c.psd and 1 more."]


def test_pictures_that_a_plug_in_reads_and_captions_of_the_form_s_ending_are_taken(saved, monkeypatch):
    monkeypatch.setattr(kinds, "accepted", lambda: ["PNG", "HEIF"])
    names, read, notes = saved([("IMG_1.HEIC", PICTURE), ("a.png", PICTURE), ("a.wd14.txt", "tags"), ("b.tags", "x")],
                               caption_extension="wd14.txt")
    assert names == ["IMG_1.heic", "a.png", "a.wd14.txt"] and ".wd14.txt" in read["a.png"].texts and "b.tags" in notes[0]


@pytest.mark.parametrize("folders", [("", ""), ("red/", "Blue/")], ids=["names alone", "with their folders"])
def test_masks_and_captions_stay_with_their_pictures(saved, folders):
    names, read, _ = saved([(f"{folder}{name}", content) for folder, size in zip(folders, (64, 96), strict=True) for name, content in (
        ("A.png" if size == 96 else "a.png", Image.new("RGB", (size, size))), ("a.mask.png", Image.new("L", (size, size))), ("a.txt", f"{size} pixels"))])
    assert len(read) == 2 and len(names) == 6
    for picture in read.values():
        width = Image.open(picture.path).width
        assert Image.open(picture.mask).width == width and picture.texts[".txt"].read_text() == f"{width} pixels"
    assert sorted(read) == (["Blue-A.png", "red-a.png"] if folders[0] else ["A-2.png", "a.png"])


def test_rows_follow_their_pictures_and_those_of_none_are_told(saved):
    lost = '{"file_name": "gone.png", "text": "nothing"}\n'
    names, read, notes = saved([("red/0.png", PICTURE), ("red/metadata.jsonl", ROWS.splitlines()[0]), ("blue/0.png", PICTURE),
                                ("blue/1!.png", PICTURE), ("blue/metadata.jsonl", ROWS.replace("1.", "1!.").replace("a ", "blue, ") + lost)])
    assert names == ["blue-0.png", "blue-1_.png", "metadata.jsonl", "red-0.png"]
    assert {name: picture.metadata_caption for name, picture in read.items()} == {
        "red-0.png": "a red ron", "blue-0.png": "blue, red ron", "blue-1_.png": "blue, green ron"}
    assert len(notes) == 1 and "1 of the captions in metadata.jsonl are of no picture" in notes[0] and "gone.png" in notes[0]


def test_pictures_and_captions_of_two_folders_come_together_where_nothing_is_mistaken(saved):
    names, read, _ = saved([("pictures/a.png", PICTURE), ("captions/a.txt", "a cat")])
    assert names == ["a.png", "a.txt"] and read["a.png"].texts


def test_a_full_disk_leaves_no_half_set(file, tmp_path, monkeypatch):
    def full(source, target):
        if target.name == "b.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(source, target)

    original = shutil.copyfile
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(RunError, match="set could not be written to .*No space left"):
        upload.save([(file, "a.png"), (file, "b.png")], "set", tmp_path / "pictures")
    assert list((tmp_path / "pictures").iterdir()) == []


@pytest.mark.parametrize("text, expected", [
    (json.dumps({"name": "cats", "paths": ["x/a!.png", "b.txt"]}), ("cats", ["x/a!.png", "b.txt"])), ("", ("", ["a.png", "b.txt"])),
    (json.dumps({"name": "cats", "paths": ["b.txt", "a.png"]}), ("cats", ["a.png", "b.txt"])), ("cats", ("", ["a.png", "b.txt"])),
    ("[1]", ("", ["a.png", "b.txt"]))])
def test_paths_of_what_was_dropped_count_where_they_are_these_files(text, expected):
    assert upload.dropped(text, ["a.png", "b.txt"]) == expected
