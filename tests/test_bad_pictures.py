"""Bad input for inspect, prepare and captions, through the command line and over HTTP: one sentence, and originals as they were."""

import errno
import os
from pathlib import Path

import pytest

from lib_sdtune.__main__ import main
from lib_sdtune.app import App
from lib_sdtune.data import expressions
from tests.data import awful
from tests.hosts import TinyHost
from tests.waiting import until

pytest.importorskip("fastapi", reason="fastapi comes with the WebUI and with the `ui` verb's requirements")
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lib_sdtune.api.router import attach

ROOT = "/sdtune/v1"
DRIVE = os.path.abspath(os.sep)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """pics: one good picture and the worst; webui: what looks like the WebUI; locked: a folder that may not be opened."""
    monkeypatch.chdir(tmp_path)
    for name in ("pics/deep", "webui/modules", "locked"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "webui/webui.py").touch()
    files = {"good.png": awful.data(awful.scene()), "bomb.png": awful.bomb(), "nothing.png": b"", "🦊 日本語 \u202e.png": awful.data(awful.scene(seed=2)),
             "good.txt": b"ron, a cat", "deep/пёс.jpg": awful.data(awful.scene(seed=3), "JPEG")}
    for name, data in files.items():
        (tmp_path / "pics" / name).write_bytes(data)
    (tmp_path / "locked/a.png").write_bytes(files["good.png"])
    scan = os.scandir

    def guarded(path="."):
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)
    return tmp_path


@pytest.fixture
def client(place):
    return TestClient(attach(FastAPI(), App(lambda: TinyHost(place / "data"))), raise_server_exceptions=False)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(Path(folder).rglob("*"))
            if path.is_file() and "data" not in path.relative_to(folder).parts}


FOLDERS = [("webui", "WebUI itself"), (DRIVE, "root of a drive"), ("locked", "Permission denied"), ("gone", "folder"), ("pics/good.png", "")]
OUTPUTS = [("pics", "lies in the folder of originals"), ("pics/out", "lies in the folder of originals"), (".", "lies in the folder for what is made"), (DRIVE, "root of a drive"), ("webui", "WebUI itself"),
           ("pics/good.txt", "")]


def one_sentence(text, words):
    text = text.strip()
    assert words in text and "\n" not in text and "Traceback" not in text and text.endswith((".", ")")), text


@pytest.mark.parametrize("folder, words", FOLDERS)
def test_folders_that_no_pictures_are_read_from(place, client, capsys, folder, words):
    before = contents(place)
    for arguments in (["inspect", folder], ["prepare", folder, "out"]):
        assert main(arguments) == 2
        one_sentence(capsys.readouterr().err, words)
    for path, body in (("/inspect", {"images": folder}), ("/captions", {"images": folder}),
                       ("/prepare", {"source": folder, "out": str(place / "out")}), ("/prepare/preview", {"source": folder})):
        answer = client.post(ROOT + path, json=body)
        assert answer.status_code == 422, (path, answer.text)
        one_sentence(answer.json()["detail"], words)
    assert contents(place) == before and not (place / "out").exists()


@pytest.mark.parametrize("out, words", OUTPUTS)
def test_folders_that_nothing_is_written_to(place, client, capsys, out, words):
    before = contents(place)
    assert main(["prepare", "pics", out]) == 2
    one_sentence(capsys.readouterr().err, words)
    answer = client.post(ROOT + "/prepare", json={"source": str(place / "pics"), "out": out})
    assert answer.status_code == 422
    one_sentence(answer.json()["detail"], words)
    assert contents(place) == before


@pytest.mark.parametrize("pattern, words", [("(a", "does not compile"), ("(a|a)*$", "takes too long")])
def test_regular_expressions_that_cannot_be_used(place, client, capsys, pattern, words, monkeypatch):
    monkeypatch.setattr(expressions, "LIMIT", 0.3)
    (place / "pics/good.txt").write_text("a" * 60 + "!")
    before = contents(place)
    assert main(["prepare", "pics", "out", "--replace-regex", f"{pattern}=b"]) == 2
    one_sentence(capsys.readouterr().err, words)
    album = client.post(ROOT + "/captions", json={"images": str(place / "pics")}).json()["id"]
    for verb in ("preview", "edit"):
        answer = client.post(f"{ROOT}/captions/{album}/{verb}", json={"do": "regex", "words": pattern, "new": "b"})
        assert answer.status_code == 422
        one_sentence(answer.json()["detail"], words)
    assert contents(place) == before


def test_bombs_and_empty_files_are_named_and_the_rest_is_prepared(place, client, capsys):
    before = contents(place / "pics")
    assert main(["inspect", "pics"]) == 0
    looked = capsys.readouterr().out
    assert main(["prepare", "pics", "out"]) == 0
    prepared = capsys.readouterr().out
    for printed in (looked, prepared):
        assert "bomb.png has hundreds of millions of pixels" in printed and "nothing.png is an empty file" in printed
    client.post(ROOT + "/prepare", json={"source": str(place / "pics"), "out": str(place / "out2")})
    until(lambda: client.get(ROOT + "/prepare").json()["work"]["state"] not in ("waiting", "working"))
    seen = client.get(ROOT + "/prepare").json()
    assert seen["work"]["state"] == "done" and seen["made"] == 4 and any("bomb.png" in text for text in seen["problems"])
    assert contents(place / "pics") == before
    assert set(contents(place / "out")) == {"good.png", "good.txt", "🦊 日本語 \u202e.png", "deep/пёс.png", "manifest.json"}


def test_a_read_only_disk(place, client, capsys, monkeypatch):
    touch = Path.touch

    def refuse(path, *arguments, **named):
        if "frozen" in path.parts:
            raise OSError(errno.EROFS, "Read-only file system")
        return touch(path, *arguments, **named)

    monkeypatch.setattr(Path, "touch", refuse)
    (place / "frozen").mkdir()
    before = contents(place)
    assert main(["prepare", "pics", "frozen"]) == 2
    one_sentence(capsys.readouterr().err, "Read-only file system")
    answer = client.post(ROOT + "/prepare", json={"source": str(place / "pics"), "out": str(place / "frozen")})
    assert answer.status_code == 422
    one_sentence(answer.json()["detail"], "Read-only file system")
    assert contents(place) == before
