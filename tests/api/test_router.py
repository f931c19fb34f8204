"""The REST door: statuses, sentences, and who is let in."""

import asyncio
import json
import sys

import pytest

from lib_sdtune.access import LOOPBACK, Access
from lib_sdtune.app import App
from lib_sdtune.host.embedded import EmbeddedHost
from tests.hosts import TinyHost, pictures, settings
from tests.waiting import until

pytest.importorskip("fastapi", reason="fastapi comes with the WebUI and with the `ui` verb's requirements")
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lib_sdtune.api.router import attach

NOT_SHOWN = ("This WebUI draws without hypernetworks: it may list their files, but its attention never asks them. "
             "Train a LoRA instead, or use A1111's WebUI for this method.")  # as of those that do so


@pytest.fixture
def app(tmp_path):
    host = TinyHost(tmp_path / "data")
    return App(lambda: host)


@pytest.fixture
def images(tmp_path):
    return pictures(tmp_path / "10_ron", count=2)


def test_a_run_from_start_to_finish(client, images):
    answer = client.post("/sdtune/v1/runs", json=settings(images, train={"max_train_steps": 3}))
    assert answer.status_code == 201 and answer.json() == {"id": "ron", "model": ""}
    until(lambda: client.get("/sdtune/v1/runs/ron").json()["state"] == "finished")
    run = client.get("/sdtune/v1/runs/ron").json()
    assert {"id", "method", "state", "step", "total_steps", "epoch", "loss", "seconds_per_step", "eta_seconds", "message", "artefacts",
            "samples", "resumable"} <= set(run)
    assert run["step"] == 3 and run["artefacts"] and client.get("/sdtune/v1/runs").json()[0]["id"] == "ron"
    assert [row["step"] for row in client.get("/sdtune/v1/runs/ron/log?since=1").json()] == [2, 3]
    assert client.get("/sdtune/v1/runs/ron/config").json()["train"]["max_train_steps"] == 3
    assert "ron" in client.get("/sdtune/v1/runs/ron/report").text
    assert client.post("/sdtune/v1/runs", json=settings(images)).status_code == 409
    assert client.post("/sdtune/v1/runs/ron/stop").status_code == 409
    assert client.delete("/sdtune/v1/runs/ron").status_code == 200
    assert client.get("/sdtune/v1/runs/ron").status_code == 404


@pytest.mark.parametrize(("body", "named"), [
    (b"{", "JSON"), (b"[]", "object"), (b"", "JSON"), (b'{"name": "x"}', "concepts"), (b'{"name": "x", "concepts": []}', "concepts"),
    (b'{"name": "a/b", "concepts": [{"images": "/nowhere"}]}', "name"), (b'{"name": "x", "conceps": []}', "did you mean"),
    (b'{"name": "x", "concepts": [{"images": "/no/such"}]}', "/no/such"), (b"\xff\xfe", "JSON"), (b"[" * 100000, "JSON")])
def test_wrong_bodies_are_told_in_a_sentence(client, app, body, named):
    answer = client.post("/sdtune/v1/runs", content=body)
    assert answer.status_code == 422 and named in answer.json()["detail"]
    assert app.jobs.runs() == []


def test_of_a_huge_body_no_more_is_read_than_a_call_can_need(app):
    """Before anybody is asked for a login."""
    app.access, sent = Access({"me": "secret"}), []

    async def receive():
        sent.append(2**20)
        return {"type": "http.request", "body": b" " * sent[-1], "more_body": len(sent) < 1000}

    async def send(message):
        answers.append(message)

    answers, server = [], attach(FastAPI(), app)
    asyncio.run(server({"type": "http", "method": "POST", "path": "/sdtune/v1/runs", "raw_path": b"", "query_string": b"", "headers": []}, receive, send))
    assert answers[0]["status"] == 413 and b"32 MiB" in answers[1]["body"]
    assert sum(sent) <= 2**25 + 2**20


@pytest.mark.skipif(sys.platform == "win32", reason="Windows answers otherwise")
@pytest.mark.parametrize("body", [
    {"model": {"checkpoint": "x" * 300}}, {"concepts": [{"images": "x" * 300 + ".toml"}]}, {"validation": {"images": "x" * 300}},
    {"concepts": [{"images": "IMAGES", "class_images": "/" + "x" * 300, "class_prompt": "y", "num_class_images": 2}]}])
def test_names_longer_than_any_disk_takes_are_told_in_a_sentence(tmp_path, images, body):
    client = TestClient(attach(FastAPI(), App(lambda: EmbeddedHost(tmp_path / "embedded"))), raise_server_exceptions=False)
    text = json.dumps(settings(images) | body).replace("IMAGES", str(images))
    answer = client.post("/sdtune/v1/runs", content=text)
    assert answer.status_code == 422 and "xxxxxx" in answer.json()["detail"] and "fault" not in answer.json()["detail"]


@pytest.mark.parametrize("address", ["/runs/ron/log?since=x", "/runs/ron/stop?save=maybe"])
def test_wrong_questions_are_told_in_a_sentence(client, address):
    call = client.post if "stop" in address else client.get
    answer = call("/sdtune/v1" + address)
    assert answer.status_code == 422 and isinstance(answer.json()["detail"], str)


def test_schema_and_folder(client, images, tmp_path):
    assert client.get("/sdtune/v1/schema").json()["properties"]["lora"]["properties"]["dim"]["default"] == 16
    response = client.post("/sdtune/v1/inspect", json={"images": str(images)})
    assert response.status_code == 200 and isinstance(response.json(), dict)
    assert client.post("/sdtune/v1/inspect", json={"images": str(tmp_path / "none")}).status_code == 422
    assert client.post("/sdtune/v1/inspect", json={"image": "x"}).status_code == 422


def test_a_method_whose_files_no_picture_would_show_is_neither_offered_nor_taken(client, app, images, monkeypatch):
    monkeypatch.setattr(app.host, "why_unusable", lambda kind: NOT_SHOWN * (kind == "hypernetworks"))
    schema = client.get("/sdtune/v1/schema").json()
    assert schema["properties"]["method"]["enum"] == ["lora", "dreambooth", "textual_inversion"]
    answer = client.post("/sdtune/v1/runs", json=settings(images, method="hypernetwork"))
    assert answer.status_code == 422 and answer.json()["detail"] == NOT_SHOWN
    assert set(client.get("/sdtune/v1/choices").json()["kinds"]) == {"lora", "embeddings", "checkpoints"}
    network = app.host.folder("hypernetworks") / "ron.pt"
    network.parent.mkdir(parents=True)
    network.write_bytes(b"")
    answer = client.post("/sdtune/v1/choices/nets", json={"kind": "hypernetworks", "of": ["ron"]})
    assert answer.status_code == 422 and answer.json()["detail"] == NOT_SHOWN


def test_pictures_of_the_latest_check_alone_are_shown(client, app, images, tmp_path):
    address = "/sdtune/v1/inspect/pictures/"
    assert client.get(address + "abc").status_code == 404
    from lib_sdtune.services.submission import check_config, read_config

    scan = check_config(read_config(settings(images), app.host), app.context)
    small, large = (client.get(f"{address}{scan.pictures[0].content}{query}") for query in ("", "?large=true"))
    assert small.headers["content-type"] == "image/jpeg" and small.content[:2] == large.content[:2] == b"\xff\xd8"
    assert small.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"{address}{scan.pictures[0].content}?large=maybe").status_code == 422
    app.access = Access(roots=lambda: [tmp_path / "elsewhere"])
    assert client.get(address + scan.pictures[0].content).status_code == 422


def test_faults_tell_no_traceback(client, app, monkeypatch):
    monkeypatch.setattr(app.jobs, "runs", lambda: 1 / 0)
    answer = client.get("/sdtune/v1/runs")
    assert answer.status_code == 500 and "ZeroDivisionError" in answer.json()["detail"] and "Traceback" not in answer.text


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                                     {"Origin": "http://testserver.evil.example"}])
def test_orders_from_other_sites_are_refused(client, images, headers):
    assert client.post("/sdtune/v1/runs", json=settings(images), headers=headers).status_code == 403
    assert client.post("/sdtune/v1/runs/ron/stop", headers=headers).status_code == 403


def test_orders_from_the_own_page_and_from_programs_are_taken(client):
    for headers in ({}, {"Origin": "http://testserver"}, {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}):
        assert client.post("/sdtune/v1/runs/nobody/stop", headers=headers).status_code == 404


VERBS = ("preview", "edit", "write", "prune", "common", "finals", "describe", "undo", "save", "stop")
EVERY = [("GET", "/"), ("DELETE", "/deferred-settings/x"), ("GET", "/runs"), ("POST", "/runs"), ("GET", "/runs/x"), ("POST", "/runs/x/stop"), ("POST", "/runs/x/pause"), ("POST", "/runs/x/resume"), ("POST", "/runs/x/retry"), ("POST", "/runs/x/move"),
         ("POST", "/runs/x/sample"), ("POST", "/runs/x/save"),
         ("DELETE", "/runs/x"), ("GET", "/runs/x/log"), ("GET", "/runs/x/config"), ("GET", "/runs/x/report"),
         ("GET", "/runs/x/samples/y.png"), ("GET", "/inspect"), ("POST", "/inspect"), ("POST", "/inspect/stop"), ("GET", "/inspect/pictures/x"), ("GET", "/schema"),
         ("GET", "/runs/x/pictures"), ("GET", "/runs/x/pictures/y.png"), ("GET", "/choices"),
         ("GET", "/choices/x"), ("GET", "/choices/x/y.png"), ("POST", "/choices/x"), ("POST", "/choices/x/estimate"), ("POST", "/runs/x/choose/estimate"), ("POST", "/choices/x/stop"),
         ("GET", "/runs/x/choose"), ("POST", "/runs/x/choose"),
         ("GET", "/runs/x/choose/y.png"), ("POST", "/runs/x/choose/stop"), ("POST", "/runs/x/publish"), ("POST", "/runs/x/unpublish"),
         ("GET", "/runs/x/report.html"), ("GET", "/compare?one=x&other=z"), ("GET", "/compare.html?one=x&other=z"),
         ("POST", "/captions"), ("GET", "/captions/x"), ("GET", "/captions/x/work"), ("GET", "/captions/x/pictures/0"),
         *(("POST", f"/captions/x/{verb}") for verb in VERBS), ("GET", "/prepare"), ("POST", "/prepare"), ("POST", "/prepare/preview"), ("POST", "/prepare/stop"),
         ("GET", "/class-pictures"), ("POST", "/class-pictures"), ("POST", "/class-pictures/stop"),
         ("POST", "/memory"), ("GET", "/measure"), ("POST", "/measure"), ("POST", "/measure/stop"),
         ("GET", "/picture-sets"), ("POST", "/picture-sets/x/rename"), ("DELETE", "/picture-sets/x"), ("GET", "/presets"), ("POST", "/presets"), ("GET", "/presets/x"), ("DELETE", "/presets/x"),
         ("POST", "/presets/x/rename"), ("POST", "/import"), ("GET", "/lora-tools"), ("POST", "/lora-tools"), ("POST", "/lora-tools/stop")]
PLACES = {"/x": "/{name}", "y.png": "{file}", "/0": "/{index}"}


def declared(path):
    """The route of a path."""
    path = path.partition("?")[0]
    for text, name in PLACES.items():
        path = path.replace(text, name)
    return "/sdtune/v1" + path


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_every_route_asks_for_the_password(client, app, method, path):
    app.access = Access({"ann": "secret"})
    refused = client.request(method, "/sdtune/v1" + path)
    assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Basic"
    assert client.request(method, "/sdtune/v1" + path, auth=("ann", "secret")).status_code not in (401, 403, 500)


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_a_closed_api_is_closed_but_to_those_who_have_logged_in(client, app, method, path):
    app.access = Access(closed="The WebUI can be reached from outside.")
    assert client.request(method, "/sdtune/v1" + path).status_code == 403
    client.app.auth, client.app.tokens = {"ann": "secret"}, {"token": "ann"}
    assert client.request(method, "/sdtune/v1" + path, cookies={"access-token": "guess"}).status_code == 403
    assert client.request(method, "/sdtune/v1" + path, cookies={"access-token": "token"}).status_code not in (401, 403, 500)


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_a_name_that_is_not_this_machine_s_is_refused(client, app, method, path):
    app.access = Access(hosts=lambda: LOOPBACK)
    for host in ("evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "0.0.0.0"):
        assert client.request(method, "/sdtune/v1" + path, headers={"Host": host}).status_code == 403, host
    for host in ("localhost", "LOCALHOST:7860", "127.0.0.1:7860", "[::1]:7860"):
        assert client.request(method, "/sdtune/v1" + path, headers={"Host": host}).status_code not in (401, 403, 500), host


def test_the_table_above_is_complete(app):
    app = attach(FastAPI(), app)
    there = {(method, route.path) for route in app.routes if route.path.startswith("/sdtune") for method in route.methods}
    asked = {(method, declared(path)) for method, path in EVERY}
    assert there - {("HEAD", path) for _, path in there} == asked
