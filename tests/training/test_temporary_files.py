"""Files that a killed process was writing go when its run is started again, and nobody else's."""

import pytest

from lib_sdtune.app import App
from lib_sdtune.formats.files import read_json, write_json
from lib_sdtune.training import temporary_files
from tests.hosts import settings, train

OWN = ["ron.safetensors", "ron-000002.pt", "ron-step00000500.safetensors", "ron.json", "ron.preview.png", "ron-000002.yaml"]
OTHERS = ["ron.v2.safetensors", "ron.2.preview.png", "ron-2.safetensors", "Ron.safetensors", "ron.notes", "ron-000004.safetensors"]


@pytest.fixture
def folders(tmp_path):
    """(run folder, folder of files) with what was being written for the run ron and for others."""
    run_folder, files = tmp_path / "sdtune" / "runs" / "ron", tmp_path / "Lora"
    for folder in (run_folder / "state", run_folder.with_name("ron-000004"), run_folder.with_name("ron.v2"), files):
        folder.mkdir(parents=True)
    for name in OWN + OTHERS:
        (files / f"{name}.tmp").write_text("half a file")
    (run_folder / "state" / "step00000002.safetensors.tmp").write_text("half a file")
    return run_folder, files


def test_those_of_the_run_go_and_those_that_another_run_writes_stay(folders):
    run_folder, files = folders
    temporary_files.sweep(run_folder, [files], "ron")
    assert sorted(path.name for path in files.iterdir()) == sorted(f"{name}.tmp" for name in OTHERS)
    assert not any((run_folder / "state").iterdir())


def test_weights_that_a_killed_dreambooth_had_set_aside_go(folders):
    run_folder, files = folders
    (run_folder / "aside" / "1").mkdir(parents=True)
    (run_folder / "aside" / "1" / "originals.safetensors").write_text("a whole model")
    temporary_files.sweep(run_folder, [files], "ron")
    assert not (run_folder / "aside").exists()


def test_a_deleted_run_takes_what_it_was_writing_along(tmp_path, host, images):
    config = settings(images, train={"max_train_steps": 1}, save={"state_every_n_steps": 1})
    folder = train(host, config).folder
    write_json(folder / "status.json", read_json(folder / "status.json") | {"state": "training"})  # as kill -9 leaves it
    for name in ("ron-step00000001.safetensors.tmp", "ronny.safetensors.tmp"):
        (host.folder("lora") / name).write_text("half a file")
    App(lambda: host).delete("ron")
    names = sorted(path.name for path in host.folder("lora").iterdir())
    assert names == ["ron.json", "ron.safetensors", "ronny.safetensors.tmp"] and not folder.exists()
