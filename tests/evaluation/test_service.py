"""Choosing through the API: from a finished run to a published file and back, and who is refused."""

import time

import pytest

from lib_sdtune.access import Access
from lib_sdtune.app import App
from lib_sdtune.evaluation import grid
from tests.hosts import TinyHost, pictures, settings, train
from tests.waiting import until

pytest.importorskip("fastapi", reason="fastapi comes with the WebUI and with the `ui` verb's requirements")
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lib_sdtune.api.router import attach

RON = "/sdtune/v1/runs/ron"
SMALL = {"prompts": ["a cat", "a dog"], "seeds": [1, 2], "width": 64, "height": 64, "strength": False}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A host with one finished run of two saved files."""
    place = tmp_path_factory.mktemp("desk")
    host = TinyHost(place / "data")
    train(host, settings(pictures(place / "2_ron", 1), train={"max_train_steps": 2}, save={"every_n_steps": 1},
                         sample={"every_n_steps": 1, "width": 64, "height": 64}))
    return host


@pytest.fixture
def client(place):
    return TestClient(attach(FastAPI(), App(lambda: place)), raise_server_exceptions=False)


def test_from_the_grid_to_a_published_file_and_back(client, place):
    seen = client.get(f"{RON}/choose").json()
    assert seen["result"] is None and not seen["published"] and [file["file"] for file in seen["files"]] == ["ron-step00000001", "ron"]
    assert client.post(f"{RON}/publish").status_code == 422
    assert client.post(f"{RON}/choose", json=SMALL).json()["work"]["state"] in ("waiting", "working")
    until(lambda: client.get(f"{RON}/choose").json()["work"]["state"] not in ("waiting", "working"))
    seen = client.get(f"{RON}/choose").json()
    assert seen["work"]["state"] == "done", seen["work"]
    result = seen["result"]
    assert len(result["ranking"]) == 2 and result["proposal"]["file"] in ("ron", "ron-step00000001")
    cell = client.get(f"{RON}/choose/{result['cells'][0][0]}")
    assert cell.status_code == 200 and cell.content[:4] == b"\x89PNG"
    html = client.get(f"{RON}/choose/page")
    assert html.status_code == 200 and "default-src 'none'" in html.headers["content-security-policy"]
    assert client.get(f"{RON}/choose/sheet").status_code == 200
    for odd in ("nothing.png", "..%2Fresult.json", "result.json"):
        assert client.get(f"{RON}/choose/{odd}").status_code == 404

    publication = client.post(f"{RON}/publish", json={"file": "ron-step00000001", "weight": 0.7})
    assert publication.status_code == 200 and {path.name for path in place.folder("lora").glob("*.safetensors")} == {"ron.safetensors"}
    assert place.published[-1].tag.startswith("<lora:") and client.get(f"{RON}/choose").json()["published"]
    assert client.post(f"{RON}/publish", json={"file": "ron"}).status_code == 422
    assert client.delete(RON).status_code == 409
    assert client.post(f"{RON}/unpublish").json()["files"] == ["ron-step00000001.safetensors", "ron.safetensors"]


def test_files_of_any_past_are_compared(client, place):
    known = client.get("/sdtune/v1/choices").json()
    assert known["kinds"]["lora"] == ["ron", "ron-step00000001"] and known["kinds"]["checkpoints"] == [] and known["choices"] == []
    assert client.get("/sdtune/v1/choices/old").status_code == client.post("/sdtune/v1/choices/old/stop").status_code == 404
    for body, word in (({"of": []}, "No file is chosen"), ({"of": 3}, '"of"'), ({"kind": "vae", "of": ["ron"]}, '"kind"'), ({"of": ["rom"]}, "did you mean 'ron'"),
                       ({"of": ["../ron"]}, "no LoRA"), ({"of": ["ron"], "seed": 1}, "did you mean 'seeds'"), ({"of": ["ron"], "pictures": 3}, "folder")):
        answer = client.post("/sdtune/v1/choices/old", json=body)
        assert answer.status_code == 422 and word in answer.json()["detail"], body
    assert client.post("/sdtune/v1/choices/..%2Fevil", json={"of": ["ron"]}).status_code in (404, 405, 422)
    settings = {key: value for key, value in SMALL.items() if key != "strength"}
    pictures = str(place.data_dir.parent / "2_ron")
    answer = client.post("/sdtune/v1/choices/old", json={**settings, "of": ["ron", "ron-step00000001"], "pictures": pictures, "strength": False})
    assert answer.status_code == 200, answer.json()
    until(lambda: client.get("/sdtune/v1/choices/old").json()["work"]["state"] not in ("waiting", "working"))
    seen = client.get("/sdtune/v1/choices/old").json()
    assert seen["work"]["state"] == "done" and len(seen["result"]["ranking"]) == 2 and seen["published"] is None, seen["work"]
    assert client.get("/sdtune/v1/choices/old/page").text.startswith("<!doctype html>")
    assert client.get(f"/sdtune/v1/choices/old/{seen['result']['cells'][0][0]}").content[:4] == b"\x89PNG"
    assert client.get("/sdtune/v1/choices").json()["choices"] == ["old"]


def test_what_was_swept_away_is_not_listed(client, place):
    before = client.get(RON).json()
    assert [path.endswith(".safetensors") for path in before["artefacts"]] == [True, True] and before["published"] is None
    client.post(f"{RON}/publish", json={"file": "ron-step00000001", "weight": 0.7})
    after = client.get(RON).json()
    assert after["artefacts"] == [str(place.folder("lora") / "ron.safetensors")]
    assert after["published"]["file"] == "ron-step00000001" and after["published"]["weight"] == 0.7
    client.post(f"{RON}/unpublish")
    assert client.get(RON).json()["artefacts"] == before["artefacts"]


def test_the_board_and_its_thumbnails(client):
    seen = client.get(f"{RON}/pictures").json()
    assert [row["file"] for row in seen["pictures"]] == ["0.png"] and "path" not in seen["pictures"][0] and seen["step"] == 2
    assert client.get(f"{RON}/pictures/0").content[:3] == b"\xff\xd8\xff"
    assert client.get(f"{RON}/pictures/1").status_code == 404 and client.get(f"{RON}/pictures/x").status_code == 404


def test_reports_and_comparisons(client):
    assert client.get(f"{RON}/report.html").text.startswith("<!doctype html>")
    assert client.get("/sdtune/v1/compare?one=ron&other=ron").json()["differing"] == []
    assert client.get("/sdtune/v1/compare.html?one=ron&other=nobody").status_code == 404


@pytest.mark.parametrize(("address", "body", "word"), [
    ("choose", {"weight": [1]}, "did you mean"), ("choose", {"files": ["nobody"]}, "no saved file"),
    ("choose", {"seeds": [-1]}, "smallest"),
    ("publish", {"file": "../x"}, "no saved file"), ("publish", {"file": 3}, "text"), ("publish", {"weight": 0, "file": "ron"}, "above 0"),
    ("publish", {"name": "x"}, "not a setting"), ("unpublish", {}, "nothing to take back")])
def test_what_cannot_be_is_told_in_a_sentence(client, address, body, word):
    answer = client.post(f"{RON}/{address}", json=body)
    assert answer.status_code == 422 and word in answer.json()["detail"]


def test_a_large_grid_is_asked_about_and_can_be_stopped(client, place, monkeypatch):
    monkeypatch.setattr(grid, "MANY", 3)
    large = {**SMALL, "seeds": [7, 8, 9, 10]}
    (place.folder("sdtune") / grid.PACE).unlink(missing_ok=True)
    client.post(f"{RON}/choose", json=large)
    until(lambda: client.get(f"{RON}/choose").json()["work"]["state"] == "failed")
    assert "sure" in client.get(f"{RON}/choose").json()["work"]["message"]
    answer = client.post(f"{RON}/choose", json={**large, "seeds": [7, 8, 9, 10, 11]})  # the time that one takes is known by now
    assert answer.status_code == 422 and "takes about" in answer.json()["detail"]
    assert client.post(f"{RON}/choose", json={**large, "sure": True}).status_code == 200
    client.post(f"{RON}/choose/stop")
    until(lambda: client.get(f"{RON}/choose").json()["work"]["state"] in ("stopped", "done"))


def test_strangers_are_refused(place):
    app = attach(FastAPI(), App(lambda: place, Access(credentials={"me": "secret"})))
    client = TestClient(app, raise_server_exceptions=False)
    for address in ("pictures", "pictures/0", "choose", "choose/page", "report.html"):
        assert client.get(f"{RON}/{address}").status_code == 401
    assert client.get("/sdtune/v1/choices").status_code == client.post("/sdtune/v1/choices/x", json={}).status_code == 401
    for address in ("choose", "publish", "unpublish"):
        assert client.post(f"{RON}/{address}", json={}).status_code == 401
        assert client.post(f"{RON}/{address}", json={}, headers={"Origin": "http://evil"}).status_code == 403


def test_a_comparison_that_waits_for_the_model_can_be_stopped(place):
    class Busy(TinyHost):
        def generate(self, requests):
            while True:
                self.on_wait()
                time.sleep(0.01)

    app = App(lambda: Busy(place.data_dir))
    run = app.jobs.folder("ron")
    app.evaluation.start(run, SMALL | {"seeds": [99]})
    until(lambda: app.evaluation.status(run)["work"]["text"] == "waiting for the model")
    app.evaluation.stop(run)
    until(lambda: app.evaluation.status(run)["work"]["state"] == "stopped")
