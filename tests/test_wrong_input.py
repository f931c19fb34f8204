"""Wrong input through the real command line: exit code 2, one sentence that names what is wrong, and nothing written."""

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lib_sdtune import failures
from lib_sdtune.__main__ import main

ROOT = Path(__file__).parents[1]


@pytest.fixture
def place(tmp_path):
    """A folder with four good pictures and a config that asks for one step."""
    (tmp_path / "pictures").mkdir()
    for i in range(4):
        noise = np.random.default_rng(i).integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "pictures" / f"{i}.png")
    write(tmp_path, {})
    return tmp_path


def write(place, changes):
    config = {"name": "ron", "concepts": [{"images": "pictures", "prompt": "a photo of ron"}], "train": {"max_train_steps": 1}}
    for key, value in changes.items():
        if isinstance(value, dict):
            config[key] = {**config.get(key, {}), **value}
        else:
            config[key] = value
    (place / "run.json").write_text(json.dumps(config))


def tree(place):
    return {str(path.relative_to(place)): path.read_bytes() if path.is_file() else None for path in place.rglob("*")}


def refused(place, capsys, *arguments):
    """Run `train` on the place's config; the one sentence of the refusal."""
    before = tree(place)
    code = main(["train", str(place / "run.json"), "--data-dir", str(place / "data"), *arguments])
    error = capsys.readouterr().err
    assert code == 2, error
    assert error.count("\n") == 1 and error.endswith(".\n") and "Traceback" not in error, error
    assert tree(place) == before, "something was written"
    return error


@pytest.mark.parametrize("changes, words", [
    ({"trian": {}}, ["trian", "'train'"]),
    ({"train": {"max_train_step": 3}}, ["train.max_train_step", "'max_train_steps'"]),
    ({"lora": {"dim": "eight"}}, ["lora.dim", "whole number"]),
    ({"concepts": [{"images": 7}]}, ["concepts[0].images", "text"]),
    ({"lora": {"dim": 0}}, ["lora.dim", "1"]),
    ({"name": "", "concepts": [{"images": " "}]}, ['"name", "concepts[0].images"']),
    ({"dataset": {"caption_extension": "<b>x"}}, ['"dataset.caption_extension" is \'<b>x\'; it must be an ending such as .txt']),
    ({"dataset": {"caption_extension": "../x"}}, ["dataset.caption_extension"]),
    ({"dataset": {"caption_extension": ". txt"}}, ["dataset.caption_extension"]),
    ({"train": {"batch_size": 10**9}}, ["train.batch_size", "1024"]),
    ({"train": {"max_train_steps": 0}}, ["train.max_train_steps", "train.max_train_epochs"]),
    ({"lora": {"unet_lr": 0, "text_encoder_lr": 0}}, ["lora.unet_lr", "lora.text_encoder_lr"]),
    ({"train": {"optimizer_args": {"weight_dekay": 0.1}}}, ["train.optimizer_args", "weight_dekay"]),
    ({"train": {"optimizer_args": {"betas": "x"}}}, ["train.optimizer_args", "AdamW"]),
    ({"train": {"optimizer_args": {"lr": 1}}}, ["train.optimizer_args", "lr"]),
    ({"concepts": [{"images": "picturse"}]}, ["concepts[0].images", "picturse"]),
    ({"concepts": [{"images": "run.json"}]}, ["concepts[0].images", "folder"]),
    ({"concepts": [{"images": "pictures", "class_images": "nowhere", "class_prompt": "a cat"}]}, ["concepts[0].class_images", "nowhere"]),
    ({"validation": {"images": "nowhere"}}, ['"validation.images"', "nowhere"]),
    ({"validation": {"images": "run.json"}}, ['"validation.images"', "folder"]),
    ({"name": "a/../../x"}, ["name", "'/'"]),
    ({"name": "C:\\x"}, ["name", "':'"]),
    ({"name": "NUL"}, ["name", "reserved"]),
    ({"name": "x" * 300}, ["name", "300"]),
    ({"name": ""}, ["name", "empty"]),
    ({"model": {"checkpoint": "no-such-model"}}, ["no-such-model"]),
    ({"method": "textual_inversion", "textual_inversion": {"token": "  "}}, ["textual_inversion.token", "blanks"]),
    ({"method": "textual_inversion", "textual_inversion": {"token": "\u3000\u00a0"}}, ["textual_inversion.token", "blanks"]),
])
def test_wrong_settings(place, capsys, changes, words):
    write(place, changes)
    error = refused(place, capsys)
    assert all(word in error for word in words), error


def test_a_folder_without_pictures(place, capsys):
    (place / "empty").mkdir()
    (place / "empty" / "notes.txt").write_text("none")
    write(place, {"concepts": [{"images": "empty"}]})
    assert "no pictures" in refused(place, capsys)


def test_only_broken_pictures(place, capsys):
    for picture in (place / "pictures").iterdir():
        picture.write_bytes(picture.read_bytes()[:100])
    assert "concepts[0].images" in refused(place, capsys)


def test_validation_pictures_are_looked_at_before_the_run_begins(place, capsys, monkeypatch):
    monkeypatch.setattr("lib_sdtune.training.runs.begin", None)
    (place / "aside").mkdir()
    write(place, {"validation": {"images": "aside"}})
    assert '"validation.images"' in (error := refused(place, capsys)) and "no pictures" in error
    (place / "aside" / "a.png").write_bytes(b"broken")
    assert '"validation.images"' in (error := refused(place, capsys)) and "a.png" in error


@pytest.mark.parametrize("ending, text, words", [
    ("toml", 'name = "ron"\n[[concepts]]\nimages = "C:\\Users\\me"', ["not valid TOML", "/", "single quotes"]),
    ("toml", 'name = "ron"\n[[concepts]]\nimages = "C:\\me"', ["not valid TOML", "/", "single quotes"]),
    ("toml", 'name = "ron"\n[[concepts]]\nimages = "C:\\train\\new"', ['"concepts[0].images"', "\\t", "write /", "single quotes"]),
    ("json", '{"name": "ron", "concepts": [{"images": "C:\\me"}]}', ["not valid JSON", "write /"]),
    ("json", '{"name": "ron", "concepts": [{"images": "C:\\train"}]}', ['"concepts[0].images"', "\\t", "write /"]),
    ("json", '{"name": "ron", "concepts": [{"images": "pictures", "class_images": "D:\\new", "class_prompt": "x"}]}', ["\\n", "write /"]),
    ("json", '{"name": "ron", "model": {"checkpoint": "D:\\new"}, "concepts": [{"images": "pictures"}]}', ["D:\\new"]),
    ("json", '{"na\\tme": "ron"}', ["na\\tme"])])
def test_windows_paths_in_settings(place, capsys, ending, text, words):
    (place / f"windows.{ending}").write_text(text)
    assert main(["train", str(place / f"windows.{ending}"), "--data-dir", str(place / "data")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "\t" not in error and all(word in error for word in words), error


@pytest.mark.parametrize("file", ["ron.safetensors", "ron-000002.safetensors", "ron-step00000500.safetensors"])
def test_an_existing_artefact(place, capsys, file):
    taken = place / "data" / "models" / "Lora" / file
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"mine")
    assert str(taken) in refused(place, capsys)


def lora(path):
    save_file({"lora_unet_mid.lora_down.weight": torch.zeros(4, 8), "lora_unet_mid.lora_up.weight": torch.zeros(8, 4)}, path)


def truncated(path):
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(320, 4, 3, 3)}, path)
    path.write_bytes(path.read_bytes()[:-1000])


class Harm:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('harmed').touch()",)


@pytest.mark.parametrize("file, make", [
    ("text.safetensors", lambda path: path.write_text("not a checkpoint")),
    ("empty.safetensors", lambda path: path.write_bytes(b"")),
    ("header.safetensors", lambda path: path.write_bytes(b"\xff" * 64)),
    ("truncated.safetensors", truncated),
    ("lora.safetensors", lora),
    ("harm.ckpt", lambda path: path.write_bytes(pickle.dumps(Harm()))),
    ("harm-zipped.ckpt", lambda path: torch.save({"state_dict": Harm()}, path)),
    ("harm.safetensors", lambda path: path.write_bytes(pickle.dumps(Harm()))),
    ("picture.ckpt", lambda path: Image.new("RGB", (8, 8)).save(path, "PNG")),
])
def test_a_file_that_is_no_checkpoint(place, capsys, monkeypatch, file, make):
    monkeypatch.chdir(place)
    make(place / file)
    assert Path(file).stem in refused(place, capsys, "--checkpoint", str(place / file))


def test_no_such_checkpoint(place, capsys):
    assert "none.safetensors" in refused(place, capsys, "--checkpoint", str(place / "none.safetensors"))


def test_no_space_left(place, capsys, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 0))
    assert "full" in refused(place, capsys)


def test_a_data_folder_that_cannot_be_written(place, capsys):
    (place / "data").write_text("a file")
    assert "data" in refused(place, capsys)


@pytest.mark.parametrize("arguments", [["--data-dir", ""], ["--data-dir="], ["--data-dir", " "]])
def test_a_data_folder_without_a_name(place, capsys, monkeypatch, arguments):
    monkeypatch.chdir(place)
    before = sorted(place.iterdir())
    assert main(["train", "run.json", *arguments]) == 2 and sorted(place.iterdir()) == before
    assert capsys.readouterr().err == "--data-dir is empty; name a folder, or leave --data-dir out.\n"


@pytest.mark.parametrize(("arguments", "named"), [
    (["inspect", ""], "PATH"), (["inspect", " ", "--json"], "PATH"), (["inspect", "pictures", "--chart", ""], "--chart"),
    (["train", ""], "CONFIG"), (["train", "run.json", "--checkpoint", ""], "--checkpoint"), (["train", "run.json", "--checkpoint="], "--checkpoint"),
    (["train", "run.json", "--preset", ""], "--preset"), (["sample", "--prompt", "", "--out", "o", "--checkpoint", ""], "--checkpoint"),
    (["prepare", "", "out"], "IN"), (["prepare", "pictures", ""], "OUT"), (["prepare", "pictures", "out", "--caption", ""], "--caption"),
    (["import", ""], "FILE"), (["import", "run.json", "--images", ""], "--images"), (["import", "run.json", "--out="], "--out"),
    (["lora", "resize", "", "out.safetensors", "--dim", "4"], "IN"), (["lora", "merge", "out.safetensors", "a", ""], "FILE[:W]"),
    (["lora", "merge", "out.safetensors", "a", "--checkpoint", ""], "--checkpoint"), (["choose", ""], "RUN"),
    (["choose", "ron", "--pictures", ""], "--pictures"), (["compare", "ron", " "], "RUN"), (["report", ""], "RUN")])
def test_a_name_that_an_unset_variable_has_left_empty(place, capsys, monkeypatch, arguments, named):
    monkeypatch.chdir(place)
    before = tree(place)
    assert main(arguments) == 2 and tree(place) == before
    error = capsys.readouterr().err
    assert error.startswith(f"{named} is empty; name a") and error.count("\n") == 1


LONG = "x" * 300  # more than any disk takes for a name


@pytest.mark.skipif(sys.platform == "win32", reason="Windows answers otherwise")
@pytest.mark.parametrize("arguments", [
    ["inspect", LONG], ["inspect", f"{LONG}/a.safetensors"], ["inspect", f"{LONG}.toml"], ["inspect", "pictures", "--chart", f"{LONG}.svg"],
    ["train", "run.json", "--checkpoint", LONG], ["train", "run.json", "--set", f"model.checkpoint={LONG}"],
    ["train", "run.json", "--data-dir", LONG], ["train", "run.json", "--set", f"concepts.0.images={LONG}.toml"],
    ["train", "run.json", "--set", f"concepts.0.class_images={LONG}", "concepts.0.class_prompt=x", "concepts.0.num_class_images=3"],
    ["sample", "--prompt", "x", "--out", LONG], ["sample", "--prompt", "x", "--out", "o", "--checkpoint", LONG],
    ["prepare", "pictures", LONG], ["prepare", "pictures", "out", "--folder", LONG], ["choose", "x", "--of", LONG],
    ["list", "presets", "--data-dir", LONG], ["lora", "resize", f"{LONG}.safetensors", "o.safetensors", "--dim", "2"],
    ["lora", "merge", "o.safetensors", f"{LONG}.safetensors"], ["lora", "extract", f"{LONG}.safetensors", f"{LONG}.safetensors", "o.safetensors"],
    ["lora", "merge", "o.safetensors", "a.safetensors", "--checkpoint", f"{LONG}.safetensors"]])
def test_a_name_longer_than_any_disk_takes(place, capsys, monkeypatch, arguments):
    monkeypatch.chdir(place)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "xxxxxx" in error and "unexpected" not in error and "Make room" not in error, error


def test_resume_without_a_state(place, capsys):
    assert "nothing to resume" in refused(place, capsys, "--resume")


def test_resume_with_a_changed_setting(place, capsys):
    assert main(["train", str(place / "run.json"), "--data-dir", str(place / "data")]) == 0
    write(place, {"lora": {"dim": 3}})
    capsys.readouterr()
    assert "lora.dim" in refused(place, capsys, "--resume")


@pytest.mark.parametrize("change, words", [
    ("train.seed", ["--set"]),
    ("train.sede=1", ["train.sede", "'seed'"]),
    ("train.seed=x", ["train.seed", "number"]),
    ("lora.unet_lr=1e-3:5, oops", ["lora.unet_lr"]),
])
def test_wrong_changes_on_the_command_line(place, capsys, change, words):
    error = refused(place, capsys, "--set", change)
    assert all(word in error for word in words), error


@pytest.mark.parametrize("arguments, words", [
    (["--steps", "0"], ["steps"]),
    (["--cfg-scale", "99"], ["cfg_scale"]),
    (["--width", "63"], ["width", "8"]),
    (["--count", "0"], ["count"]),
    (["--prompt", "<lora:nobody:1>"], ["nobody"]),
    (["--checkpoint", "nowhere.safetensors"], ["nowhere"]),
    (["--sampler", "Eula"], ["Eula"]),
])
def test_sample_refuses_likewise(place, capsys, arguments, words):
    before = tree(place)
    code = main(["sample", "--prompt", "a cat", "--out", str(place / "out"), "--data-dir", str(place / "data"), *arguments])
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1 and all(word in error for word in words), error
    assert tree(place) == before


@pytest.mark.parametrize("arguments, word", [
    ([], "max_train_epochs"),
    (["--set", "train.max_train_steps=1", "--checkpoint", "harm.ckpt"], "code"),
])
def test_the_same_from_a_shell(place, arguments, word):
    """In a process of its own: what the console really gets."""
    write(place, {"train": {"max_train_steps": 0}})
    (place / "harm.ckpt").write_bytes(pickle.dumps(Harm()))
    before = tree(place)
    command = [sys.executable, "-m", "lib_sdtune", "train", str(place / "run.json"), "--data-dir", str(place / "data"), *arguments]
    done = subprocess.run(command, cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and word in done.stderr, done
    assert tree(place) == before


def test_a_path_that_is_too_long_as_a_whole_is_named_by_its_beginning():
    path = "/srv/" + "pictures/" * 600 + "webui.py"
    said = failures.name_too_long(OSError(errno.ENAMETOOLONG, "File name too long", path))
    assert "'/srv/pictures/" in said and "webui.py" not in said and len(said) < 200
    said = failures.name_too_long(OSError(errno.ENAMETOOLONG, "File name too long", "/srv/" + "x" * 300))
    assert said.startswith("'xxx") and "name of a file" in said
