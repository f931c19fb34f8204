"""Which folders may be named, and who is let in."""

import pytest

pytest.importorskip("fastapi", reason="fastapi comes with the WebUI and with the `ui` verb's requirements")
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lib_sdtune.access import Access
from lib_sdtune.api.router import attach
from lib_sdtune.app import App
from tests.hosts import TinyHost, pictures
from tests.services.conftest import ROOT


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


@pytest.fixture
def confined(tmp_path, images):
    """(client that may name one folder alone, that folder, a folder outside)."""
    inside = pictures(tmp_path / "inside", count=1)
    app = App(lambda: TinyHost(tmp_path / "data"), Access(roots=lambda: [inside]))
    return TestClient(attach(FastAPI(), app), raise_server_exceptions=False), inside, images


@pytest.mark.parametrize("prompt", ["SECRET", "SECRET ", "../secret.txt", " ../secret.TXT\t"])
def test_a_preview_of_captions_reads_no_file_of_another_folder(confined, tmp_path, prompt):
    client, inside, _ = confined
    (tmp_path / "secret.txt").write_text("the password is swordfish")
    session = client.post(ROOT + "/captions", json={"images": str(inside)}).json()["id"]
    answer = client.post(f"{ROOT}/captions/{session}/finals", json={"prompt": prompt.replace("SECRET", str(tmp_path / "secret.txt"))})
    assert answer.status_code == 422 and "swordfish" not in answer.text


@pytest.mark.parametrize("written", ["{}", " {}", '\"{}\" ', "file://{}", "../10_ron", " ../10_ron"])
def test_a_dataset_toml_names_no_folder_outside(confined, written):
    """As it will be opened: without the blanks and quotes that a text has around it."""
    client, inside, outside = confined
    (inside / "set.toml").write_text(f'[[datasets]]\n[[datasets.subsets]]\nimage_dir = \'{written.format(outside)}\'\n')
    answer = client.post(ROOT + "/inspect", json={"images": str(inside / "set.toml")})
    assert answer.status_code == 422 and "outside the folders" in answer.json()["detail"], answer.text
