"""Presets that a person saves, and the sets of pictures that were uploaded."""

import json
import os
from pathlib import Path

import pytest

from tests.services.conftest import ROOT

LONG = {"train": {"max_train_steps": 700}}


def test_a_preset_is_saved_renamed_exported_and_imported(ask, client, app):
    saved = ask("/presets", {"name": "my cats", "settings": {"name": "ron", "concepts": [{"images": "x"}], "method": "lora", **LONG}})
    assert saved == {"name": "my cats", "settings": {"method": "lora", **LONG}}  # what belongs to one run is left out
    assert ask("/presets/my cats/rename", {"to": "cats"})["name"] == "cats"
    assert ask("/presets", method="get")["presets"] == [{"name": "cats", "settings": {"method": "lora", **LONG}}]
    exported = ask("/presets/cats", method="get")
    assert exported == json.loads((app.presets.folder / "cats.json").read_text(encoding="utf-8"))
    assert client.delete(ROOT + "/presets/cats").status_code == 200
    assert ask("/presets", {"name": exported["title"], "settings": exported["settings"]})["name"] == "cats"


@pytest.mark.parametrize(("body", "status", "named"), [
    ({"name": "", "settings": {}}, 422, "no name"), ({"name": "x/y", "settings": {}}, 422, "'/'"), ({"name": "../x", "settings": {}}, 422, "dot"),
    ({"name": "x", "settings": {"train": {"max_train_step": 1}}}, 422, "did you mean"),
    ({"name": "x", "settings": {"train": {"batch_size": 0}}}, 422, "batch_size"), ({"name": "x", "settings": [1]}, 422, "group"),
    ({"name": "x", "settings": {"a": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}}, 422, "nested"),
    ({"name": "x", "setting": {}}, 422, "setting"), ({"name": "there", "settings": {}}, 409, "already")])
def test_what_is_no_preset_is_refused_and_nothing_written(ask, app, body, status, named):
    ask("/presets", {"name": "there", "settings": LONG})
    assert named in ask("/presets", body, wrong=status)
    assert app.presets.list() == {"presets": [{"name": "there", "settings": LONG}]}


def test_names_that_are_there_are_never_taken_over_in_silence(ask):
    for name in ("one", "other"):
        ask("/presets", {"name": name, "settings": {}})
    assert "already" in ask("/presets/one/rename", {"to": "other"}, wrong=409)
    assert "no preset" in ask("/presets/none/rename", {"to": "new"}, wrong=404)
    assert ask("/presets", {"name": "one", "settings": LONG, "overwrite": True})["settings"] == LONG
    assert ask("/presets/one/rename", {"to": "one"})["settings"] == LONG


def test_a_name_with_other_capitals_is_the_same_name(ask, app):
    """On many disks it is the same file, and a preset must not go under another's name nor be lost when it is renamed."""
    ask("/presets", {"name": "Faces", "settings": LONG})
    assert "'Faces' already" in ask("/presets", {"name": "faces", "settings": {}}, wrong=409)
    ask("/presets", {"name": "cats", "settings": {}})
    assert "'Faces' already" in ask("/presets/cats/rename", {"to": "FACES"}, wrong=409)
    assert ask("/presets/Faces/rename", {"to": "FACES"}) == {"name": "FACES", "settings": LONG}
    assert ask("/presets/FACES", method="get")["title"] == "FACES" and app.presets.names() == ["cats", "FACES"]
    ask("/presets", {"name": "faces", "settings": LONG, "overwrite": True})
    assert app.presets.names() == ["cats", "faces"]


def test_renaming_loses_nothing_on_a_disk_that_takes_both_names_for_one(ask, app, monkeypatch):
    ask("/presets", {"name": "Faces", "settings": LONG})
    replace = os.replace

    def one_name_for_all(source, target):  # as such a disk does it
        source, target = (Path(path).with_name(Path(path).name.lower()) for path in (source, target))
        replace(source, target)

    (app.presets.folder / "Faces.json").rename(app.presets.folder / "faces.json")
    monkeypatch.setattr(app.presets, "path_of", lambda name: app.presets.folder / f"{name.lower()}.json")
    monkeypatch.setattr(os, "replace", one_name_for_all)
    ask("/presets/faces/rename", {"to": "FACES"})
    assert app.presets.read("FACES") == LONG


def test_a_damaged_preset_is_passed_over_and_named_once(ask, app, caplog):
    ask("/presets", {"name": "one", "settings": LONG})
    (app.presets.folder / "two.json").write_text("{", encoding="utf-8")
    (app.presets.folder / "three.json").write_text('{"settings": 1}', encoding="utf-8")
    for _ in range(2):
        assert [preset["name"] for preset in ask("/presets", method="get")["presets"]] == ["one"]
    assert [line for line in caplog.messages if "damaged" in line] == [app.presets.damaged(name) for name in ("three", "two")]


def test_uploaded_sets_are_listed_with_their_pictures(ask, app):
    from lib_sdtune.ui import upload

    folder = app.picture_sets.folder
    assert ask("/picture-sets", method="get") == {"sets": []}
    folder.mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / ".unfinished.tmp").mkdir()
    (folder / ".unfinished.tmp" / "a.png").write_bytes(b"picture")
    source = folder / "a.png"
    source.write_bytes(b"picture")
    upload.save([(source, "a.png"), (source, "a.mask.png"), (source, "b.png"), (source, "b.txt")], upload.name_of_set("10_ron <cat>"), folder)
    assert ask("/picture-sets", method="get") == {"sets": [{"name": "10_ron _cat_", "folder": str(folder / "10_ron _cat_"), "pictures": 2}]}
