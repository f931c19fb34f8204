"""Uploaded sets are renamed and deleted; nothing else is, and none from under a run."""

import pytest

from lib_sdtune.ui import upload
from tests.hosts import pictures, settings, train


@pytest.fixture
def sets(app, tmp_path):
    """The folder of uploads, with the set "cats"."""
    source = pictures(tmp_path / "source", count=2)
    upload.save([(source / "0.png", "0.png"), (source / "0.txt", "0.txt"), (source / "1.png", "1.png")], "cats", app.picture_sets.folder)
    return app.picture_sets.folder


@pytest.fixture
def delete(client):
    def delete(name, wrong=0):
        answer = client.delete("/sdtune/v1/picture-sets/" + name)
        assert answer.status_code == (wrong or 200), answer.text
        return answer.json()
    return delete


def names(ask):
    return [entry["name"] for entry in ask("/picture-sets", method="get")["sets"]]


def test_a_set_is_renamed_and_deleted(ask, delete, sets):
    assert ask("/picture-sets/cats/rename", {"to": "10_ron"}) == {"name": "10_ron", "folder": str(sets / "10_ron")}
    assert names(ask) == ["10_ron"] and sorted(path.name for path in (sets / "10_ron").iterdir()) == ["0.png", "0.txt", "1.png"]
    delete("10_ron")
    assert names(ask) == [] and list(sets.iterdir()) == []


@pytest.mark.parametrize(("to", "status", "word"), [("", 422, "empty"), ("a/b", 422, "name of the set"), ("../cats", 422, "dot"), ("dogs", 409, "dogs")])
def test_names_that_cannot_be_are_refused(ask, sets, to, status, word):
    (sets / "dogs").mkdir()
    assert word in ask("/picture-sets/cats/rename", {"to": to}, wrong=status)
    assert names(ask) == ["cats"]


@pytest.mark.parametrize("name", [".hidden", "no such", "linked", "a.png", "Cats"])
def test_what_is_no_set_is_neither_renamed_nor_deleted(ask, delete, sets, tmp_path, name):
    (sets / ".hidden").mkdir()
    (sets / "a.png").write_bytes(b"x")
    (sets / "linked").symlink_to(tmp_path / "source")
    delete(name, wrong=404)
    ask(f"/picture-sets/{name}/rename", {"to": "dogs"}, wrong=404)
    assert sorted(path.name for path in sets.iterdir()) == [".hidden", "a.png", "cats", "linked"] and (tmp_path / "source" / "0.png").exists()


def test_a_folder_that_was_put_there_with_more_in_it_is_kept(delete, sets):
    (sets / "mine" / "inner").mkdir(parents=True)
    (sets / "mine" / "a.png").write_bytes(b"x")
    assert "file manager" in delete("mine", wrong=422)["detail"]
    assert (sets / "mine" / "inner").is_dir()


def test_a_set_that_a_run_reads_is_kept(ask, app, delete, sets, monkeypatch):
    train(app.host, settings(sets / "cats"))
    monkeypatch.setattr(app.jobs, "is_live", lambda name: True)
    assert "The run ron" in delete("cats", wrong=409)["detail"] and "The run ron" in ask("/picture-sets/cats/rename", {"to": "dogs"}, wrong=409)
    assert names(ask) == ["cats"]
    monkeypatch.setattr(app.jobs, "is_live", lambda name: False)
    delete("cats")
