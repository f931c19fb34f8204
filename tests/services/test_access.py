"""Which folders may be named, and who is let in."""

import pytest

pytest.importorskip("fastapi", reason="fastapi comes with the WebUI and with the `ui` verb's requirements")
from fastapi import FastAPI  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402

from lib_sdtune.access import Access  # noqa: E402
from lib_sdtune.api.router import attach  # noqa: E402
from lib_sdtune.app import App  # noqa: E402
from tests.hosts import TinyHost, pictures  # noqa: E402
from tests.services.conftest import ROOT  # noqa: E402


@pytest.mark.parametrize(("path", "body"), [("/captions", {"images": "X"}), ("/prepare", {"source": "X", "out": "Y"}), ("/prepare", {"source": "Y", "out": "X"}),
                                            ("/prepare/preview", {"source": "X"})])
def test_folders_outside_the_allowed_ones_are_refused(tmp_path, images, path, body):
    inside = tmp_path / "inside"
    pictures(inside)
    app = App(lambda: TinyHost(tmp_path / "data"), Access(roots=lambda: [inside]))
    client = TestClient(attach(FastAPI(), app))
    places = {"X": str(images), "Y": str(inside)}
    answer = client.post(ROOT + path, json={key: places[name] for key, name in body.items()})
    assert answer.status_code == 422 and "outside the folders" in answer.json()["detail"]


def test_strangers_and_other_sites_are_kept_out(client, app, images):
    foreign = {"Origin": "http://evil.example"}
    assert client.post(ROOT + "/captions", json={"images": str(images)}, headers=foreign).status_code == 403
    assert client.post(ROOT + "/prepare", json={}, headers=foreign).status_code == 403
    app.access = Access({"me": "secret"})
    assert client.post(ROOT + "/captions", json={"images": str(images)}).status_code == 401
    assert client.get(ROOT + "/captions/x/pictures/0").status_code == 401
    assert client.get(f"{ROOT}/captions/x/pictures/0", auth=("me", "secret")).status_code == 404
