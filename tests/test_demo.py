"""The demo's figures and sheet: on drawings of which the truth is known, and after a training of two steps."""

import json
import re
import shutil
from types import SimpleNamespace

import pytest
from PIL import Image

from lib_sdtune import toyworld
from lib_sdtune.__main__ import main
from lib_sdtune.cli import demo

SHOW = {"form": "mushroom", "prompts": ["a photo of a red ron toy on grass", "a photo of a blue ron toy on rose"],
        "others": ["a photo of a red star on snow", "a photo of a pink square on stone"], "seeds": [1, 2], "steps": 2, "cfg_scale": 4.0}
CONTROL = SimpleNamespace(snapshot=lambda: {"seconds_per_step": 0.25})


def drawn(form, mistaken=False):
    """What a model that knows everything draws: `form` for the subject; `mistaken`: other prompts in another colour."""
    pictures = []
    for number, (prompt, _) in enumerate(demo.prompts_and_seeds(SHOW)):
        scene = demo.scene(prompt)
        other = number >= len(SHOW["prompts"]) * len(SHOW["seeds"])
        colour = "brown" if mistaken and other else scene.colour
        pictures.append(toyworld.draw(toyworld.Scene(scene.form or form, colour, scene.background)))
    return pictures


def test_the_figures_are_those_of_the_pictures():
    lines = list(demo.figures(SHOW, drawn("cat", mistaken=True), drawn("mushroom"), CONTROL))
    assert [line.split("(")[0].rstrip() for line in lines] == [
        "subject fidelity   0.00 -> 1.00", "prompt fidelity    colour 1.00 background 1.00 -> colour 1.00 background 1.00",
        "other prompts      form 1.00 colour 0.00 background 1.00 -> form 1.00 colour 1.00 background 1.00", "seconds per step   0.250"]
    assert "of 4 pictures, those that plainly show a mushroom" in lines[0]


def test_without_other_prompts_nothing_is_said_of_them():
    pictures = drawn("mushroom")[:4]
    assert len(list(demo.figures(SHOW | {"others": []}, pictures, pictures, CONTROL))) == 3


@pytest.fixture
def short(tmp_path, monkeypatch):
    """The example, with two steps of training and a few pictures."""
    folder = tmp_path / "examples" / "ron"
    shutil.copytree(demo.EXAMPLES / "ron", folder)
    settings = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    settings["train"] |= {"max_train_steps": 2, "batch_size": 2}
    (folder / "demo.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "show.json").write_text(json.dumps(SHOW), encoding="utf-8")
    monkeypatch.setattr(demo, "EXAMPLES", folder.parent)


def test_from_the_training_to_the_sheet(short, tmp_path, capsys):
    data = tmp_path / "data"
    assert main(["demo", "--data-dir", str(data)]) == 0
    printed = capsys.readouterr().out.splitlines()
    figures = [line for line in printed if re.match("subject fidelity|prompt fidelity|other prompts|seconds per step", line)]
    assert len(figures) == 4 and all(re.search(r"\d\.\d\d", line) for line in figures)
    assert printed[-2:] == [str(data / "models" / "Lora" / "ron.safetensors"), str(data / "demo.png")]
    with Image.open(data / "demo.png") as sheet:
        assert sheet.width > 4 * 64 and sheet.height > 2 * 64
    names = {path.name for path in (data / "sdtune" / "runs" / "ron" / "samples").iterdir()}
    assert names == {f"{label}-{number:02d}.png" for label in ("before", "after") for number in range(6)}
