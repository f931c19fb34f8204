"""A look into a folder gives the same report on the command line and over HTTP, for every way in which pictures come."""

import json
import os
import threading

import pytest

from lib_sdtune.__main__ import main
from lib_sdtune.access import Access
from lib_sdtune.app import App
from lib_sdtune.services.submission import check_config, read_config
from tests.data import awful
from tests.hosts import TinyHost, pictures, settings
from tests.waiting import until

pytest.importorskip("fastapi", reason="fastapi comes with the WebUI and with the `ui` verb's requirements")
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lib_sdtune.api.router import attach

ADDRESS = "/sdtune/v1/inspect"


@pytest.fixture
def app(tmp_path):
    return App(lambda: TinyHost(tmp_path / "data"))


def tree(base):
    pictures(base / "train/10_ron cat", count=2)
    pictures(base / "train/3_🦊 日本語", count=1)
    return base / "train", {"images": 3, "captions": 3}


def toml(base):
    tree(base)
    (base / "données 🦊.toml").write_text('[[datasets]]\n[[datasets.subsets]]\nimage_dir = "train/10_ron cat"\nnum_repeats = 4\n'
                                         '[[datasets.subsets]]\nimage_dir = "train/3_🦊 日本語"\nis_reg = true\n', encoding="utf-8")
    return base / "données 🦊.toml", {"images": 2, "class_images": 1}


def listed(base):
    folder = base / "hub"
    folder.mkdir()
    (folder / "é.png").write_bytes(awful.data(awful.scene()))
    (folder / "metadata.jsonl").write_text('{"file_name": "é.png", "text": "ron, a cat"}\n', encoding="utf-8")
    return folder, {"images": 1, "captions": 1, "tags": {"ron": 1, "a cat": 1}}


def names(base):
    folder = base / "habit"
    folder.mkdir()
    (folder / "0001-ron on a sofa.png").write_bytes(awful.data(awful.scene()))
    return folder, {"images": 1, "caption_sources": {"name": 1}, "tags": {"ron on a sofa": 1}}


@pytest.mark.parametrize("make_folder", [tree, toml, listed, names])
def test_command_line_and_http_say_the_same(make_folder, tmp_path, client, capsys):
    path, settings = make_folder(tmp_path)
    assert main(["inspect", str(path), "--json", "--set", "dataset.resolution=128"]) == 0
    printed = json.loads(capsys.readouterr().out)
    answer = client.post(ADDRESS, json={"images": str(path), "dataset": {"resolution": 128}})
    assert answer.status_code == 200 and {key: value for key, value in answer.json().items() if key != "codes"} == printed
    assert {key: printed[key] for key in settings} == settings


def test_pictures_are_listed_by_folder_and_long_captions_told(tmp_path, client, capsys):
    folder = pictures(tmp_path / "10_ron", count=23)
    (folder / "7.txt").write_text("very " * 90 + "long")
    assert main(["inspect", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "10_ron (23 pictures, counted 10 times):" in printed and "  0.png  " in printed and "... and 3 more" in printed
    assert "The caption of 7.png has more than 75 tokens" in printed
    problems = client.post(ADDRESS, json={"images": str(folder)}).json()["problems"]
    assert [problem["path"] for problem in problems if problem["kind"] == "caption long"] == ["7.png"]


def test_a_chart_is_drawn(tmp_path, capsys):
    folder, _ = listed(tmp_path)
    assert main(["inspect", str(folder), "--chart", str(tmp_path / "counts.svg")]) == 0
    # the empty comment in a tag hides it from the page's translations
    assert ">a cat<" in (tmp_path / "counts.svg").read_text(encoding="utf-8").replace("<!-- -->", "")
    assert main(["inspect", str(folder), "--chart", str(tmp_path / "counts.png")]) == 2
    assert "ends in .svg" in capsys.readouterr().err


@pytest.mark.parametrize("body, words", [({"images": "gone"}, "no folder"), ({"images": ""}, "must name a folder"), ({"image": "x"}, "images"),
                                         ({"images": "x", "dataset": {"resolutoin": 1}}, "resolution"), ({"images": "x", "dataset": 3}, "group"),
                                         ({"images": "broken.toml"}, "TOML"), ({"images": "gone.toml"}, "no file")])
def test_wrong_questions_are_one_sentence(tmp_path, client, monkeypatch, body, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.toml").write_text("[[")
    answer = client.post(ADDRESS, json=body)
    assert answer.status_code == 422 and words in answer.json()["detail"] and "\n" not in answer.json()["detail"].strip()


def test_a_toml_leads_nowhere_that_may_not_be_named(tmp_path):
    path, _ = toml(tmp_path)
    inside = tmp_path / "inside"
    inside.mkdir()
    text = path.read_text(encoding="utf-8").replace("train/", "../train/")
    (inside / "data.toml").write_text(text, encoding="utf-8")
    app = App(lambda: TinyHost(tmp_path / "data"), Access(roots=lambda: [inside]))
    answer = TestClient(attach(FastAPI(), app)).post(ADDRESS, json={"images": str(inside / "data.toml")})
    assert answer.status_code == 422 and "outside the folders" in answer.json()["detail"]


def test_it_can_be_watched_and_stopped(tmp_path, client, monkeypatch):
    folder = pictures(tmp_path / "pics", count=40)
    looked, go_on, answers = threading.Event(), threading.Event(), []
    from lib_sdtune.data import scan

    examine = scan.examine

    def slowly(path, appearance=False):
        looked.set()
        go_on.wait(30)
        return examine(path, appearance)

    monkeypatch.setattr(scan, "examine", slowly)
    asking = threading.Thread(target=lambda: answers.append(client.post(ADDRESS, json={"images": str(folder)})))
    asking.start()
    assert looked.wait(30)
    until(lambda: client.get(ADDRESS).json()["work"]["total"] == 40)
    assert client.post(ADDRESS + "/stop").json()["work"]["state"] == "working"
    go_on.set()
    asking.join(30)
    assert answers[0].status_code == 422 and "Stopped" in answers[0].json()["detail"]
    assert client.get(ADDRESS).json()["work"]["done"] < 40
    assert client.post(ADDRESS, json={"images": str(folder)}).json()["images"] == 40


def test_start_and_the_run_read_only_what_changed_since_check(tmp_path, app, monkeypatch):
    from lib_sdtune.data import scan

    folder, opened, examine = pictures(tmp_path / "pics", count=4), [], scan.examine
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    monkeypatch.setattr(scan, "examine", lambda path, appearance=False: opened.append(path.name) or examine(path, appearance))
    check_config(read_config(settings(folder), app.host), app.context, appearance=True)
    assert len(opened) == 4
    assert app.submit(settings(folder))["id"] == "ron"
    assert app.inspection.status()["work"]["done"] == 4
    until(lambda: app.jobs.status("ron")["state"] == "finished")
    assert len(opened) == 4
