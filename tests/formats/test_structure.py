"""What is read from the disk has the structure that its readers count on, or is not believed."""

import json
import logging
from types import SimpleNamespace

import pytest
from PIL import Image, PngImagePlugin

from lib_sdtune.artefacts import card
from lib_sdtune.evaluation import any_files, comparison, evaluation, grid, run_report
from lib_sdtune.formats import structure
from lib_sdtune.ldm import architecture
from lib_sdtune.training import per_image_loss
from lib_sdtune.training.results import artefacts_of
from lib_sdtune.training.runs import RunFolder
from tests.hosts import TinyHost, settings

ODD = ["", "null", "[]", "{}", "3", "{", '"x"', "[[[", '{"pictures": 3, "step": 1}', '{"pictures": [3], "step": 1}', '{"artefacts": "abc"}',
       '{"artefacts": [null]}', '{"files": "x", "pictures": ""}', '{"files": [1], "pictures": ""}', '{"proposal": {"file": 3}}',
       '{"seconds_per_step_and_pixel": "fast"}', '{"ranking": {}, "cells": {}, "rows": 1}', "[" * 100_000, "\\ud800"]


@pytest.mark.parametrize("value, expected, fits", [
    ({"a": 1, "b": 2}, {"a": int}, True), ({"b": 2}, {"a": int}, False), ([1, 2.5], [structure.NUMBER], True), (True, int, False),
    (True, bool, True), (1, bool, False), (float("nan"), structure.NUMBER, False), (None, (dict, None), True), ("x", (dict, None), False),
    ([{"a": None}], [{"a": ({"b": str}, None)}], True), ([{"a": {"b": 1}}], [{"a": ({"b": str}, None)}], False), (0, None, False)])
def test_fitting(value, expected, fits):
    assert structure.fits(value, expected) is fits


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_files_are_as_good_as_none(tmp_path, text):
    host = TinyHost(tmp_path)
    run = RunFolder(tmp_path / "sdtune/runs/ron")
    for file in (run.path / per_image_loss.FILE, run.path / "choose/result.json", run.path / "choose" / grid.PACE,
                 run.path / "status.json", any_files.home(host) / "ron/files.json"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (run.path / "config.json").write_text(json.dumps(settings("x")))
    assert per_image_loss.read(run.path) == {"step": 0, "pictures": []}
    assert evaluation.result(run) is None and artefacts_of(run.path) == [] and any_files.opened(host, "ron") is None
    assert grid.Grid(host, run.path / "choose", None, None).pace(None) is None
    assert run_report.write(run, {}).exists()


def test_what_an_evaluation_writes_is_read_again(tmp_path):
    written = {"problem": "", "measured_by": "", "validation": None, "cells": [["a.png", None]], "proposal": {"file": "a", "weight": 1},
               "strength": None, "curve": [], "columns": [{"file": "a", "label": "end", "weight": 1.0}], "rows": [{"prompt": "x", "seed": 1}],
               "ranking": [{"file": "a", "label": "end", "score": 0.5, "reasons": ["sharp"], "picture": "a.png"}]}
    (tmp_path / "choose").mkdir()
    (tmp_path / "choose/result.json").write_text(json.dumps(written))
    assert evaluation.result(SimpleNamespace(path=tmp_path)) == written


def test_a_damaged_card_stays_beside_the_new_one(tmp_path, caplog):
    config = SimpleNamespace(method="lora", train=SimpleNamespace(optimizer="AdamW", seed=1), dataset=SimpleNamespace(resolution=512))
    for text in ("my own words", '["notes"]'):
        (tmp_path / "ron.json").write_text(text)
        with caplog.at_level(logging.WARNING, "sdtune"):
            card.write(tmp_path / "ron.safetensors", "ron", config, SimpleNamespace(sd_version="SD1"), 3, tmp_path / "samples")
        assert (tmp_path / "ron.json.bak").read_text() == text and "ron.json.bak" in caplog.text
        assert json.loads((tmp_path / "ron.json").read_text())["activation text"] == "ron"


def test_a_card_keeps_the_users_words(tmp_path):
    """Where the run has no trigger words, theirs stay; notes of ours are renewed below theirs."""
    config = SimpleNamespace(method="lora", train=SimpleNamespace(optimizer="AdamW", seed=1), dataset=SimpleNamespace(resolution=512))

    def written(text, step):
        card.write(tmp_path / "ron.safetensors", text, config, SimpleNamespace(sd_version="SD1"), step, tmp_path / "samples")
        return json.loads((tmp_path / "ron.json").read_text())

    assert written("", 3)["notes"] == "lora, 3 steps, AdamW, resolution 512, seed 1"
    (tmp_path / "ron.json").write_text(json.dumps(written("", 3) | {"activation text": "ron cat", "notes": "from May\nlora, 3 steps, AdamW, resolution 512, seed 1"}))
    again = written("", 6)
    assert again["activation text"] == "ron cat"
    assert again["notes"] == "from May\nlora, 6 steps, AdamW, resolution 512, seed 1"
    assert written("zqx", 6)["activation text"] == "zqx"


def test_odd_samples_do_not_stop_a_comparison(tmp_path):
    folder = tmp_path / "samples"
    folder.mkdir()
    (folder / "step1-00.png").write_bytes(b"no picture")
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", 'a cat\nSteps: 2, Sampler: "Euler \\q", Size: 8x8, Seed: 1')
    Image.new("RGB", (8, 8)).save(folder / "step2-00.png", pnginfo=info)
    assert sorted(comparison.last_samples(SimpleNamespace(path=tmp_path)).values()) == ["step1-00.png", "step2-00.png"]


@pytest.mark.parametrize("text", ["", "[", "[]", "3", '{"unet": 3}'])
def test_foreign_metadata_are_not_believed(text):
    assert architecture.overrides({"sdtune_architecture": text}) == {}
