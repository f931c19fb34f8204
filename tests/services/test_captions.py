"""Captions through the API: what is shown, and what is written when."""

import os
import time

import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="fastapi comes with the WebUI and with the `ui` verb's requirements")
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lib_sdtune.api.router import attach
from lib_sdtune.app import App
from lib_sdtune.services.submission import check_config
from tests.hosts import TinyHost, pictures, settings
from tests.services.conftest import ROOT


@pytest.fixture
def album(ask, images):
    return "/captions/" + ask("/captions", {"images": str(images)})["id"]


@pytest.fixture
def save(ask, album, ended):
    """Save, and how that went in the end."""
    return lambda: ask(album + "/save") and ended(album + "/work")["work"]


def test_an_album_shows_pictures_and_counts(ask, album, client):
    seen = ask(album + "?query=number%202", method="get")
    assert (seen["total"], seen["found"], [row["caption"] for row in seen["rows"]]) == (5, 1, ["a cat, number 2"])
    assert ask(album, method="get")["tags"][0] == ["a cat", 5]
    picture = client.get(f"{ROOT}{album}/pictures/2")
    assert picture.headers["content-type"] == "image/jpeg" and picture.content[:2] == b"\xff\xd8"
    for bad in ("9", "-1", "x", "..%2F0.png"):
        assert client.get(f"{ROOT}{album}/pictures/{bad}").status_code == 404


def test_nothing_is_written_before_save_and_the_old_text_stays_beside(ask, album, images, save):
    edit = {"do": "front", "words": "ron", "query": "number 1 or number 2"}
    preview = ask(album + "/preview", edit)
    assert preview["count"] == 2 and preview["examples"][0]["after"] == "ron, a cat, number 1"
    assert ask(album, method="get")["changed"] == 0
    assert ask(album + "/edit", edit) == {"count": 2}
    assert (images / "1.txt").read_text() == "a cat, number 1"
    saved = save()
    assert (saved["written"], saved["problems"]) == (2, [])
    assert (images / "1.txt").read_text() == "ron, a cat, number 1\n"
    assert (images / "1.txt.bak").read_text() == "a cat, number 1"
    assert ask(album + "/undo") == {"count": 2} and ask(album, method="get")["changed"] == 2


def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(ask, album, images, save):
    ask(album + "/write", {"name": "0.png", "caption": "mine"})
    (images / "0.txt").write_text("theirs")
    saved = save()
    assert saved["written"] == 0 and "changed by somebody else" in saved["problems"][0]
    assert (images / "0.txt").read_text() == "theirs"
    again = ask("/captions", {"images": str(images), "again": True})
    assert not again["kept"] and again["rows"][0]["caption"] == "theirs"


def test_a_page_that_is_loaded_again_finds_its_changes(ask, album, images):
    ask(album + "/edit", {"do": "add", "words": "hat"})
    again = ask("/captions", {"images": str(images)})
    assert again["kept"] and "/captions/" + again["id"] == album and again["changed"] == 5


def test_two_pages_on_one_folder_edit_the_same_captions(ask, album, images):
    again = ask("/captions", {"images": str(images)})
    assert "/captions/" + again["id"] == album and not again["kept"]
    ask(album + "/write", {"name": "0.png", "caption": "typed in the first page"})
    assert ask("/captions/" + again["id"], method="get")["rows"][0]["caption"] == "typed in the first page"
    assert ask("/captions", {"images": str(images)})["kept"]


def test_a_folder_that_is_loaded_again_shows_its_files_under_the_same_id(ask, album, images):
    (images / "0.txt").write_text("written elsewhere")
    Image.new("RGB", (64, 64)).save(images / "00.png")
    again = ask("/captions", {"images": str(images)})
    assert "/captions/" + again["id"] == album and again["total"] == 6
    assert [row["caption"] for row in ask(album, method="get")["rows"]][:2] == ["written elsewhere", ""]
    ask(album + "/write", {"name": "0.png", "caption": "typed"})
    dropped = ask("/captions", {"images": str(images), "again": True})
    assert "/captions/" + dropped["id"] == album and dropped["changed"] == 0


def test_other_folders_with_unsaved_captions_are_named(ask, album, images, tmp_path, save):
    other = ask("/captions", {"images": str(pictures(tmp_path / "other", count=2))})
    assert other["unsaved_elsewhere"] == []
    ask(album + "/write", {"name": "0.png", "caption": "typed"})
    seen = ask("/captions/" + other["id"], method="get")
    assert seen["changed"] == 0
    assert seen["unsaved_elsewhere"] == [{"folder": str(images), "extension": ".txt", "changed": 1}]
    assert ask(album, method="get")["unsaved_elsewhere"] == []
    save()
    assert ask("/captions/" + other["id"], method="get")["unsaved_elsewhere"] == []


def test_the_text_of_the_first_save_of_a_day_stays_beside(ask, album, images, save):
    for words in ("first", "second", "third"):
        ask(album + "/write", {"name": "1.png", "caption": words})
        assert save()["written"] == 1
    assert (images / "1.txt.bak").read_text() == "a cat, number 1"
    yesterday = time.time() - 86400 - 60
    os.utime(images / "1.txt.bak", (yesterday, yesterday))
    ask(album + "/write", {"name": "1.png", "caption": "next day"})
    save()
    assert (images / "1.txt.bak").read_text() == "a cat, number 1" and (images / "1.txt.day.bak").read_text() == "third\n"


def test_a_caption_that_cannot_be_written_is_told(ask, album, images, save):
    ask(album + "/edit", {"do": "add", "words": "hat"})
    (images / "1.txt.bak.tmp").mkdir()
    saved = save()
    assert saved["state"] == "failed" and "1.txt can't be written" in saved["message"]
    assert ask(album, method="get")["changed"] == 4


def test_words_of_a_guessed_encoding_are_saved_once_they_are_confirmed(ask, images, ended):
    (images / "0.txt").write_bytes("рыжий кот".encode("cp1251"))
    opened = ask("/captions", {"images": str(images)})
    album = "/captions/" + opened["id"]
    assert opened["rows"][0]["guess"] == "cp1251" and "рыжий кот" in opened["problems"][0]
    ask(album + "/edit", {"do": "add", "words": "hat"})
    assert ask(album, method="get")["guessed"] == 1
    ask(album + "/save", {})
    work = ended(album + "/work")["work"]
    assert work["written"] == 4 and "cp1251" in work["problems"][0]
    ask(album + "/save", {"confirmed": True})
    assert ended(album + "/work")["work"]["written"] == 1
    assert (images / "0.txt").read_text(encoding="utf-8") == "рыжий кот, hat\n"
    assert ask(album, method="get")["rows"][0]["guess"] == ""


def test_a_caption_that_is_too_long_to_be_edited_is_not_described(ask, images, ended):
    (images / "0.txt").write_text("a cat\n" * 20_000)
    album = "/captions/" + ask("/captions", {"images": str(images)})["id"]
    assert ask(album, method="get")["rows"][0]["cut"]
    ask(album + "/describe", {"captioner": "blip", "existing": "replace"})
    assert ended(album + "/work")["work"]["state"] == "done"
    assert ask(album, method="get")["changed"] == 4


@pytest.mark.parametrize(("do", "words", "new", "after"), [
    ("remove", "number*", "", "a cat"), ("replace", "a cat", "dog", "dog, number 0"), ("find", "cat", "dog", "a dog, number 0"), ("regex", r"number (\d)", r"no. \1", "a cat, no. 0"),
    ("add", "hat", "", "a cat, number 0, hat")])
def test_every_edit(ask, album, do, words, new, after):
    ask(album + "/edit", {"do": do, "words": words, "new": new})
    assert ask(album, method="get")["rows"][0]["caption"] == after


@pytest.mark.parametrize(("verb", "body", "named"), [
    ("edit", {"do": "ad", "words": "x"}, "did you mean 'add'"), ("edit", {"do": "add"}, "lacks its words"), ("edit", {"do": "regex", "words": "("}, "compile"),
    ("edit", {"do": "regex", "words": "a", "new": r"\9"}, "can't be used"), ("edit", {"do": "add", "words": 5}, "must be text"),
    ("edit", {"do": "add", "words": "x", "query": "not"}, "filter"), ("write", {"name": "../0.png", "caption": "x"}, "no picture"),
    ("describe", {"captioner": "x"}, "no captioner"), ("finals", {"dataset": {"resolutio": 1}}, "did you mean"), ("prune", {}, "trigger word")])
def test_wrong_wishes_are_told_in_a_sentence_and_change_nothing(ask, album, verb, body, named):
    assert named in ask(f"{album}/{verb}", body, wrong=422)
    assert ask(album, method="get")["changed"] == 0


def test_trigger_word_and_pruning_are_one_step(ask, album):
    common = ask(album + "/common", {"trigger": "ron"})
    assert common["tags"] == ["a cat"] and "trigger word" in common["why"]
    wish = {"trigger": "ron", "tags": "a cat"}
    assert ask(album + "/prune", wish | {"only_preview": True})["examples"][0]["after"] == "ron, number 0"
    assert ask(album, method="get")["changed"] == 0
    ask(album + "/prune", wish)
    assert ask(album, method="get")["rows"][4]["caption"] == "ron, number 4"
    ask(album + "/undo")
    assert ask(album, method="get")["changed"] == 0


def test_final_captions_are_those_of_the_trainer(ask, album):
    ask(album + "/write", {"name": "0.png", "caption": "a, b, c, d, e, f"})
    rows = ask(album + "/finals", {"dataset": {"shuffle_caption": True, "keep_tokens": 1}})
    assert len(rows) == 5 and rows[0]["caption"].startswith("a, ") and rows[0]["caption"] != "a, b, c, d, e, f"
    rows = ask(album + "/finals", {"prompt": "a photo of [name], [filewords]", "word": "ron"})
    assert rows[1]["caption"] == "a photo of ron, a cat, number 1"


@pytest.mark.parametrize("prompt", ["", "a toy", "a photo of [name]"])
def test_final_captions_of_pictures_without_words_are_the_trainers_too(ask, images, app, prompt):
    from lib_sdtune.config import Config
    from lib_sdtune.data.inspect import finals
    from lib_sdtune.data.loader import Dataset

    for number in range(4):
        (images / f"{number}.txt").unlink()
    config = settings(images)
    config["concepts"][0] |= {"images": str(images), "prompt": prompt}
    config = Config.from_dict(config)
    trained = {row["path"]: row["caption"] for row in finals(Dataset(check_config(config, app.context), config), count=50)}
    name = ask("/captions", {"images": str(images)})["id"]
    shown = ask(f"/captions/{name}/finals", {"prompt": prompt, "word": "ron"})
    assert {row["name"]: row["caption"] for row in shown} == trained


def test_captions_are_described_in_the_background_and_nothing_is_saved(ask, album, images, ended):
    ask(album + "/write", {"name": "3.png", "caption": ""})
    ask(album + "/describe", {"captioner": "blip", "existing": "keep"})
    assert ended(album + "/work")["work"]["state"] == "done"
    assert ask(album, method="get")["rows"][3]["caption"] == "seen 1"
    assert (images / "3.txt").read_text() == "a cat, number 3"


def test_describing_stops_and_keeps_what_it_has(ask, album, app, ended):
    app.host.before_each = lambda: app.host.described == 1 and ask(album + "/stop")
    ask(album + "/describe", {"captioner": "blip", "existing": "replace"})
    assert ended(album + "/work")["work"]["state"] == "stopped"
    assert [row["caption"] for row in ask(album, method="get")["rows"]][:3] == ["seen 1", "seen 2", "a cat, number 2"]


def test_nothing_else_changes_captions_while_they_are_described(ask, album, app, ended):
    refused = []
    app.host.before_each = lambda: refused.append(ask(album + "/edit", {"do": "add", "words": "x"}, wrong=422)) if not refused else None
    ask(album + "/describe", {"captioner": "blip", "existing": "replace"})
    ended(album + "/work")
    assert "stop that first" in refused[0]


def test_a_host_without_interrogators_says_so_at_once(tmp_path, images):
    client = TestClient(attach(FastAPI(), App(lambda: TinyHost(tmp_path / "data"))))
    name = client.post(ROOT + "/captions", json={"images": str(images)}).json()["id"]
    answer = client.post(f"{ROOT}/captions/{name}/describe", json={"captioner": "deepbooru"})
    assert answer.status_code == 422 and "part of the WebUI" in answer.json()["detail"]
