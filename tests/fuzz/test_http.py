"""Calls that nobody means, to every route that there is: a right code, one sentence, and nothing outside the folders."""

import copy
import json
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("fastapi", reason="fastapi comes with the WebUI and with the `ui` verb's requirements")
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from lib_sdtune.access import Access
from lib_sdtune.api.router import attach
from lib_sdtune.app import App
from tests.fuzz import hostile
from tests.hosts import TinyHost, pictures, settings, train

FOLDER = "/nowhere/but/here"
IMAGES = f"{FOLDER}/10_ron"
CONFIG = settings(IMAGES)
BODIES = {  # path -> what a page would send there
    "/runs": CONFIG, "/memory": CONFIG, "/measure": CONFIG,
    "/class-pictures": CONFIG | {"concepts": [{"images": IMAGES, "class_images": f"{FOLDER}/class", "class_prompt": "a cat",
                                               "num_class_images": 1}]},
    "/inspect": {"images": IMAGES, "dataset": CONFIG["dataset"]},
    "/prepare": {"source": IMAGES, "out": f"{FOLDER}/out", "settings": {"resize": "none", "trigger": "x"},
                 "boxes": {"0.png": [0, 0, 1, 1]}, "captioner": "", "options": {}},
    "/prepare/preview": {"source": IMAGES, "settings": {"resize": "none"}, "number": 0, "box": [0.1, 0.1, 0.9, 0.9], "out": f"{FOLDER}/out"},
    "/captions": {"images": IMAGES, "extension": ".txt"},
    "/captions/{name}/preview": {"do": "replace", "words": "cat", "new": "dog", "query": ""},
    "/captions/{name}/edit": {"do": "regex", "words": "c(a)t", "new": "d", "query": "cat"},
    "/captions/{name}/write": {"name": "0.png", "caption": "a cat"},
    "/captions/{name}/prune": {"trigger": "ron", "tags": "a cat", "only_preview": True},
    "/captions/{name}/common": {"trigger": "ron"},
    "/captions/{name}/finals": {"dataset": {"shuffle_caption": True}, "prompt": "subject.txt", "word": "ron", "seed": 1, "showing": 0},
    "/captions/{name}/describe": {"captioner": "interrogate", "options": {}, "existing": "keep", "query": ""},
    "/choices/{name}": {"kind": "lora", "of": ["ron"], "pictures": IMAGES, "steps": 1},
    "/runs/{name}/choose": {"files": ["ron"], "prompts": ["a cat --w 64"], "weights": [1], "seeds": [1], "steps": 1},
    "/runs/{name}/publish": {"file": "ron", "weight": 1, "negative_text": "x"},
}
RIGHT = {200, 201, 401, 403, 404, 405, 409, 422}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """(folder, client): a run that has ended, pictures, and a queue in which nothing starts."""
    outside = tmp_path_factory.mktemp("http")
    folder = outside / "inside"
    pictures(folder / "10_ron", count=2)
    host = TinyHost(folder / "data")
    train(host, settings(folder / "10_ron", train={"max_train_steps": 1}))
    app = App(lambda: host, Access(roots=lambda: [folder]))
    app.context.queue.run_when_free = lambda *args, **kwargs: None
    (outside / "secret.txt").write_text("nobody's business")
    return folder, TestClient(attach(FastAPI(), app), raise_server_exceptions=False)


def routes():
    """(method, path, names of its query) of every route that there is."""
    app = attach(FastAPI(), App(lambda: None))
    return [(method, route.path.removeprefix("/sdtune/v1"), [field.alias for field in route.dependant.query_params])
            for route in app.routes if isinstance(route, APIRoute) for method in sorted(route.methods)]


ROUTES = routes()
names = st.one_of(st.sampled_from(["ron", "0", "0.png", "page", "nobody", "..", "%2e%2e%2fsecret.txt", "a%00b", "%ff", "x" * 300, "²", "-1",
                                   "9" * 30, "9" * 5000]),
                  st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="/?#\\"), min_size=1, max_size=8))
queries = st.one_of(st.sampled_from(["0", "--5", "x" * 3000, "9" * 5000, "-", "true", "ron", " " * 3000, "²"]), st.text(max_size=8))


@st.composite
def calls(draw):
    """(method, path, query, body as bytes)."""
    method, path, fields = draw(st.sampled_from(ROUTES))
    body = BODIES.get(path, {})
    kind = draw(st.sampled_from(["mutated", "mutated", "mutated", "as meant", "bytes"]))
    if kind == "bytes":
        content = draw(st.one_of(st.binary(max_size=40), st.sampled_from([b"[" * 100_000, b'{"a":' * 5000, b"\xff\xfe{}", b"1" * 6000])))
    else:
        content = json.dumps(copy.deepcopy(body) if kind == "as meant" else draw(hostile.mutated(body))).encode()
    query = {field: draw(queries) for field in fields if draw(st.booleans())}
    filled = path
    for field in ("{name}", "{file}", "{index}"):
        filled = filled.replace(field, draw(names)) if field in filled else filled
    return method, filled, query, content


@given(calls())
@example(("GET", "/runs/ron/log", {"since": "--5"}, b""))
@example(("GET", "/captions/x", {"page": "9" * 5000}, b""))
@example(("GET", "/compare", {}, b""))
@example(("GET", "/compare.html", {"one": "ron"}, b""))
@example(("POST", "/choices/x", {}, json.dumps({"kind": [], "of": ["ron"]}).encode()))
@example(("POST", "/prepare/preview", {}, json.dumps({"source": IMAGES, "settings": {}, "number": 0, "box": [0, 0, float("inf"), 1]}).encode()))
@example(("POST", "/runs", {}, json.dumps({"x" * 10_000_000: 1}).encode()))
@example(("POST", "/runs/ron/publish", {}, json.dumps({"file": "ron", "negative_text": "\ud800"}).encode()))
def test_calls(place, call):
    folder, client = place
    method, path, query, content = call
    before = hostile.tree(folder.parent)
    outside = {name: value for name, value in before.items() if not name.startswith(str(folder))}
    answer = client.request(method, "/sdtune/v1" + quote(path, safe="/%"), params=query, content=content.replace(FOLDER.encode(), str(folder).encode()))
    assert answer.status_code in RIGHT, answer.text[:500]
    if answer.status_code >= 400 and answer.headers.get("content-type") == "application/json":
        detail = answer.json()["detail"]
        assert isinstance(detail, str) and hostile.is_sentence(detail), detail
    after = hostile.tree(folder.parent)
    assert {name: value for name, value in after.items() if not name.startswith(str(folder))} == outside
