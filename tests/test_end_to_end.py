"""Whole runs through the command line on the embedded model: what they leave behind, and what Ctrl+C and --resume make of them."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from lib_sdtune.__main__ import main
from tests.test_architecture import ROOT


@pytest.fixture
def place(tmp_path):
    return prepared(tmp_path)


def prepared(place):
    """A folder with three pictures and a CONFIG."""
    folder = place / "pictures" / "3_ron"
    folder.mkdir(parents=True)
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(f"a photo of ron, number {i}")
    config = {"name": "ron", "concepts": [{"images": "pictures"}], "train": {"max_train_steps": 6, "batch_size": 1},
              "lora": {"dim": 2}, "save": {"every_n_steps": 4, "state_every_n_steps": 2},
              "sample": {"prompts": ["a photo of ron"], "every_n_steps": 3, "steps": 2}}
    (place / "run.json").write_text(json.dumps(config))
    return place


def test_a_lora_from_the_pictures_to_the_prompt(place, capsys):
    data = place / "data"
    assert main(["train", str(place / "run.json"), "--data-dir", str(data)]) == 0
    printed = capsys.readouterr()
    final = data / "models" / "Lora" / "ron.safetensors"
    assert printed.err == "" and printed.out.splitlines()[-1] == str(final)

    # the layout of the files
    expected = {"ron.safetensors", "ron-step00000004.safetensors", "ron.json", "ron.preview.png"}
    assert {path.name for path in final.parent.iterdir()} == expected
    run = data / "sdtune" / "runs" / "ron"
    assert json.loads((run / "config.json").read_text())["lora"]["dim"] == 2
    log = (run / "log.csv").read_text().splitlines()
    assert log[0].startswith("step,epoch,loss,lr,seconds") and len(log) == 7
    assert list((run / "samples").glob("*.png")) and list((run / "state").iterdir())

    # the file, as other programs read it
    with safe_open(final, "pt") as file:
        metadata, names = file.metadata(), list(file.keys())
    assert metadata["ss_output_name"] == "ron" and str(place) not in json.dumps(metadata)
    assert all(name.startswith(("lora_unet_", "lora_te_")) for name in names)

    # the same seed with and without it
    sample = ["sample", "--data-dir", str(data), "--steps", "2", "--seed", "5"]
    assert main([*sample, "--prompt", "ron", "--prompt", "ron <lora:ron:1>", "--out", str(place / "out")]) == 0
    without, with_it = (Image.open(place / "out" / f"0000{i}.png") for i in range(2))
    assert "Seed: 5" in with_it.info["parameters"] and "<lora:ron:1>" in with_it.info["parameters"]
    assert np.abs(np.asarray(without, int) - np.asarray(with_it, int)).max() > 0

    # a second run of that name is refused, unless it is wanted
    capsys.readouterr()
    assert main(["train", str(place / "run.json"), "--data-dir", str(data)]) == 2
    assert str(final) in capsys.readouterr().err
    before = load_file(final)
    assert main(["train", str(place / "run.json"), "--data-dir", str(data), "--set", "overwrite=true"]) == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in load_file(final).items()), "the same seed gives the same weights"


def test_what_no_sample_could_be_drawn_from_is_refused_before_the_run(place, capsys):
    command = ["train", str(place / "run.json"), "--data-dir", str(place / "data"), "--set"]
    for change, key, word in ((["sample.prompts=a cat <lora:rno:1>"], "sample.prompts", "'rno'"),
                              (["sample.prompts=a cat --ss Foo"], "sample.prompts", "'Foo'"),
                              (["concepts.0.class_images=" + str(place / "reg"), "concepts.0.num_class_images=2",
                                "concepts.0.class_prompt=a cat <hypernet:none:1>"], "concepts[0].class_prompt", "'none'")):
        assert main([*command, *change]) == 2
        printed = capsys.readouterr()
        assert key in printed.err and word in printed.err and "step" not in printed.out
        assert not (place / "data").exists()


def test_what_is_missing_in_the_middle_of_a_run_costs_none_of_it(place, capsys, monkeypatch):
    """Wrong input after steps were done is a failure with a state, and no reason to clear the run away."""
    data, lora = place / "data", place / "data" / "models" / "Lora" / "style.safetensors"
    assert main(["train", str(place / "run.json"), "--data-dir", str(data), "--set", "name=style"]) == 0
    from lib_sdtune.training.trainer import Trainer
    advance = Trainer.advance

    def gone_at_step_two(self):
        lora.unlink(missing_ok=True)
        return advance(self)

    monkeypatch.setattr(Trainer, "advance", gone_at_step_two)
    command = ["train", str(place / "run.json"), "--data-dir", str(data), "--set", "sample.prompts=a cat <lora:style:1>"]
    capsys.readouterr()
    assert main(command) == 1
    assert "'style'" in capsys.readouterr().err and list((data / "sdtune" / "runs" / "ron" / "state").glob("*.safetensors"))


LONGER = ("--set", "train.max_train_steps=12", "sample.every_n_steps=6", "--data-dir")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The bytes of the file that a run leaves to which nothing happened."""
    place = prepared(tmp_path_factory.mktemp("uninterrupted"))
    assert main(["train", str(place / "run.json"), *LONGER, str(place / "whole")]) == 0
    return (place / "whole" / "models" / "Lora" / "ron.safetensors").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl+C to one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_saves_the_state_and_resume_ends_the_same(place, number, uninterrupted):
    arguments = ["train", str(place / "run.json"), *LONGER]
    state = place / "cut" / "sdtune" / "runs" / "ron" / "state"
    process = subprocess.Popen([sys.executable, "-m", "lib_sdtune", *arguments, place / "cut"], cwd=ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 300
    while not list(state.glob("*.safetensors")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (130, "") and "--resume" in out.splitlines()[-1]
    assert list(state.glob("*.safetensors")) and not (place / "cut" / "models" / "Lora" / "ron.safetensors").exists()

    assert main([*arguments, str(place / "cut"), "--resume"]) == 0
    assert (place / "cut" / "models" / "Lora" / "ron.safetensors").read_bytes() == uninterrupted


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl+C to one process")
def test_an_interrupt_before_there_is_anything_to_save(place):
    """In the middle of an import, and while pictures are read: the code is the same, and nothing is promised that is not there."""
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background programs ignore it
    command = [sys.executable, "-c", heard + "import sys; from lib_sdtune import __main__ as door\n"
               "def arguments(parser): exec('signal.raise_signal(signal.SIGINT)')\n"
               "from lib_sdtune.cli import train; train.arguments = arguments; sys.argv[1:] = ['train']; door.leave(door.main())"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")
    command = [sys.executable, "-c", heard + "from lib_sdtune import __main__ as door; from lib_sdtune.training import control\n"
               "told = control.Control.preparing\n"
               "def preparing(self, *what): signal.raise_signal(signal.SIGINT); told(self, *what)\n"
               "control.Control.preparing = preparing; door.leave(door.main())", "train", str(place / "run.json"), "--data-dir", str(place / "d")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "") and "--resume" not in done.stdout.splitlines()[-1]


def test_class_pictures_are_drawn_once(place, capsys):
    (place / "run.json").write_text(json.dumps({"name": "ron", "concepts": [
        {"images": "pictures", "class_images": "reg", "class_prompt": "a toy", "num_class_images": 2}], "sample": {"steps": 2}}))
    command = ["class-pictures", str(place / "run.json"), "--data-dir", str(place / "data")]
    assert main(command) == 0
    drawn = {path: path.stat().st_mtime_ns for path in (place / "reg").rglob("*.png")}
    assert len(drawn) == 2 and capsys.readouterr().out.splitlines()[-1] == str(place / "reg")
    assert main(command) == 0 and {path: path.stat().st_mtime_ns for path in (place / "reg").rglob("*.png")} == drawn
    assert main([*command, "--set", "concepts.0.num_class_images=0"]) == 2
