"""Uploaded pictures land in their own folder under names that cannot lead elsewhere."""

from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from lib_sdtune.errors import UserError
from lib_sdtune.ui import upload


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "blob"
    path.write_bytes(b"bytes")
    return path


def test_pictures_and_captions_are_kept_and_the_rest_is_not(file, tmp_path):
    place = upload.save([(file, "a.PNG"), (file, "a.txt"), (file, "evil.py"), (file, "日本語 é (1).jpg")], "ron", tmp_path / "pictures")
    assert place == tmp_path / "pictures" / "ron"
    assert sorted(path.name for path in place.iterdir()) == ["a.png", "a.txt", "日本語 é _1_.jpg"]


@pytest.mark.parametrize("original", ["../../out.png", "..\\..\\out.png", "/etc/out.png", "C:\\out.png", "a/../../out.png"])
def test_names_with_paths_stay_in_the_folder(file, tmp_path, original):
    place = upload.save([(file, original)], "ron", tmp_path / "pictures")
    assert [path.name for path in place.iterdir()] == ["out.png"]
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("original, name", [("...png", "picture.png"), (".png.png", "png.png"), ("nul\0.png", "nul_.png"),
                                            ("x" * 300 + ".png", "x" * 100 + ".png")])
def test_odd_names_become_plain(original, name):
    assert list(upload.unique_names([Path(original)])) == [name]


def test_names_that_are_alike_after_cleaning_stay_apart_and_captions_beside_their_pictures(tmp_path):
    names = ["d!1.png", "d+1.png", "d!1.txt", "d+1.txt", "D_1.jpg", "a.png", "a.txt", "a.png", "a.txt", "a.webp"]
    files = []
    for number, name in enumerate(names):
        (tmp_path / str(number)).write_text(name)
        files.append((tmp_path / str(number), name))
    place = upload.save(files, "", tmp_path / "pictures")
    assert {path.name: path.read_text() for path in place.iterdir()} == {
        "d_1.png": "d!1.png", "d_1.txt": "d!1.txt", "d_1-2.png": "d+1.png", "d_1-2.txt": "d+1.txt", "D_1-3.jpg": "D_1.jpg",
        "a.png": "a.png", "a.txt": "a.txt", "a-2.png": "a.png", "a-2.txt": "a.txt", "a.webp": "a.webp"}


@pytest.mark.parametrize("name", ["", "ron"])
def test_each_upload_is_a_set_of_its_own(file, tmp_path, name):
    places = [upload.save([(file, original)], name, tmp_path) for original in ("cat.png", "dog.png", "cat.png")]
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
