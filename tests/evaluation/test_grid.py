"""Grids: what is drawn, what is gone on with, and what is refused."""

import json

import pytest
from PIL import Image

from lib_sdtune.artefacts import metadata
from lib_sdtune.errors import RunError, UserError
from lib_sdtune.evaluation import grid as grids
from lib_sdtune.evaluation import settings
from lib_sdtune.evaluation.candidates import Candidate, of_files, of_run, weight_in
from lib_sdtune.evaluation.grid import Grid, cells
from lib_sdtune.formats import tensors
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.training.runs import RunFolder
from tests.hosts import TinyHost


@pytest.fixture
def host(tmp_path):
    return TinyHost(tmp_path / "data")


def lora(host, name, family="sd_v1", dim=2):
    import torch

    path = host.folder("lora") / f"{name}.safetensors"
    width = {"sd_v1": 768, "sdxl_base_v1-0": 2048}[family]
    key = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors.write(path, {f"{key}.lora_down.weight": torch.ones(dim, width), f"{key}.lora_up.weight": torch.ones(8, dim)},
                  {"ss_base_model_version": family, "ss_output_name": name})
    return path


def run_folder(host, name="ron", **sections):
    path = host.folder("sdtune") / "runs" / name
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"name": name, "concepts": [{"images": "x", "prompt": "ron cat"}], **sections}))
    (path / "log.csv").write_text("step,epoch,loss\n" + "".join(f"{step},{(step + 4) // 5},0.5\n" for step in range(1, 16)))
    (path / "status.json").write_text(json.dumps({"step": 15, "state": "finished"}))
    return RunFolder(path)


def test_the_files_of_a_run_know_their_step(host):
    for name in ("ron", "ron-000001", "ron-000002", "ron-step00000007", "ronald", "ron-0003"):
        lora(host, name)
    candidates = of_run(host, run_folder(host))
    assert [(candidate.stem, candidate.step, candidate.label) for candidate in candidates] == [
        ("ron-000001", 5, "epoch 1"), ("ron-step00000007", 7, "step 7"), ("ron-000002", 10, "epoch 2"), ("ron", 15, "end")]


def test_files_of_an_earlier_run_are_no_candidates(host):
    run = run_folder(host)
    for name in ("ron", "ron-000001", "ron-000003"):
        lora(host, name)
    status = {"step": 15, "artefacts": ["/moved/elsewhere/ron.safetensors", "/moved/elsewhere/ron-000001.safetensors"]}
    (run.path / "status.json").write_text(json.dumps(status))
    assert [candidate.stem for candidate in of_run(host, run)] == ["ron-000001", "ron"]
    path = host.folder("lora") / "ron-000003.safetensors"
    tensors.write(path, tensors.read(path)[0], {"ss_session_id": str(metadata.session_id(run.config()))})
    assert [candidate.stem for candidate in of_run(host, run)] == ["ron-000001", "ron-000003", "ron"]


@pytest.mark.parametrize("kind, word, text, weight, prompt", [
    ("lora", "", "a ron cat", 0.8, "<lora:ron-000002:0.8> a ron cat"),
    ("lora", "", "<lora:ron:1> a ron <lora:other:0.5>", 1, "<lora:ron-000002:1> a ron <lora:other:0.5>"),
    ("hypernetworks", "", "a cat", 1.2, "<hypernet:ron-000002:1.2> a cat"),
    ("embeddings", "ron", "a ron, ronald", 1, "a ron-000002, ronald"),
    ("embeddings", "ron", "a ron", 0.5, "a (ron-000002:0.5)"),
    ("embeddings", "ron", "a cat", 1, "ron-000002 a cat"),
    ("checkpoints", "", "a cat", 1, "a cat")])
def test_the_prompt_that_uses_a_file(tmp_path, kind, word, text, weight, prompt):
    candidate = Candidate(tmp_path / "ron-000002.safetensors", kind, "ron", 10, 2, word=word)
    assert candidate.prompt(text, weight) == prompt


def test_an_axis_keeps_the_weight_that_stands_in_the_prompt(tmp_path):
    candidate = Candidate(tmp_path / "ron-000002.safetensors", "lora", "ron")
    for text, weight in (("a <lora:ron:0.7>", 0.7), ("a <lora:ron-000001:0.4> <lora:other:0.2>", 0.4), ("a cat", 1.0),
                         ("<lora:ronald:0.3>", 1.0)):
        assert weight_in(text, candidate) == weight


def test_a_grid_is_gone_on_with_and_draws_nothing_twice(host, tmp_path):
    lora(host, "ron-000001"), lora(host, "ron")
    candidates = of_run(host, run_folder(host))
    requests = [SampleRequest("a ron cat", width=16, height=16), SampleRequest("a dog", "bad", width=16, height=16)]
    wanted = cells(candidates, [0.5, 1.0], requests, [1, 2])
    assert len(wanted) == 4 + 2 * 2 * 4

    def stop(done, total, text):
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Grid(host, tmp_path / "grid", stop).make(wanted)
    assert len(host.asked) == 7
    grid = Grid(host, tmp_path / "grid")
    assert grid.estimate(wanted)["missing"] == 20 - 7
    grid.make(wanted)
    assert len(host.asked) == 20 and grid.estimate(wanted)["missing"] == 0
    grid.make(wanted)
    assert len(host.asked) == 20
    assert host.asked[0].prompt == "a ron cat" and "<lora:ron-000001:0.5>" in host.asked[4].prompt
    with Image.open(grid.path(wanted[5])) as image:
        assert "Steps: 20" in image.info["parameters"]
    lora(host, "ron", dim=3)  # trained anew: its pictures are drawn anew, the others stay
    grid.make(cells(candidates, [0.5, 1.0], [SampleRequest("a ron cat", width=16, height=16)], [1, 2]))
    assert len(host.asked) == 24


def test_an_interrupted_host_leaves_what_is_done(host, tmp_path):
    lora(host, "ron")
    candidates = of_run(host, run_folder(host))
    whole, host.generate = host.generate, lambda requests: iter(list(whole(requests))[:1])
    with pytest.raises(RunError, match="1 of 6"):
        Grid(host, tmp_path / "grid").make(cells(candidates, [1.0], [SampleRequest("a", width=16, height=16)], [1, 2, 3]))
    assert len(list((tmp_path / "grid" / "cells").glob("*.png"))) == 1


def test_ten_thousand_pictures_are_asked_about_with_the_time_they_take(host, tmp_path):
    lora(host, "ron")
    candidates = of_run(host, run_folder(host))
    too_many = cells(candidates, [1.0], [SampleRequest(f"prompt {n}", width=16, height=16) for n in range(50)], list(range(100)))
    assert len(too_many) == 10000
    with pytest.raises(UserError, match=r"9,999|10,000") as refused:
        Grid(host, tmp_path / "grid").make(too_many)
    assert "about" in str(refused.value) and "sure" in str(refused.value)
    assert len(host.asked) == 1  # the one that the time was taken with


def test_a_full_disk_is_told_before_anything_is_drawn(host, tmp_path, monkeypatch):
    lora(host, "ron")
    monkeypatch.setattr(grids, "free_space", lambda folder: 10 * 2**20)
    with pytest.raises(UserError, match="10 MB are free"):
        Grid(host, tmp_path / "grid").make(cells(of_run(host, run_folder(host)), [1.0], [SampleRequest("a")], [1]))
    assert not host.asked


def test_families_and_kinds_do_not_mix(host, tmp_path):
    sd1_lora, sdxl_lora = lora(host, "one"), lora(host, "other", "sdxl_base_v1-0")
    with pytest.raises(UserError, match=r"one\.safetensors is for SD1 and other\.safetensors for SDXL"):
        of_files(host, [sd1_lora, sdxl_lora])
    assert [candidate.prompt("a cat", 1) for candidate in of_files(host, [sd1_lora])] == ["<lora:one:1> a cat"]
    host.about = lambda model=None: {"family": "SDXL"}
    with pytest.raises(UserError, match="loaded checkpoint is SDXL"):
        of_files(host, [sd1_lora])


def test_missing_files_are_named(host, tmp_path):
    with pytest.raises(UserError, match="no saved file in"):
        of_run(host, run_folder(host))
    with pytest.raises(UserError, match=r"no file .*gone\.safetensors"):
        of_files(host, [tmp_path / "gone.safetensors"])
    elsewhere = tmp_path / "x.safetensors"
    lora(host, "x").rename(elsewhere)
    with pytest.raises(UserError, match="not where a prompt could use it"):
        of_files(host, [elsewhere])


@pytest.mark.parametrize("data, word", [({"weights": []}, "weights"), ({"seeds": []}, "seeds"), ({"weight": [1]}, "did you mean 'weights'"),
                                        ({"weights": [9.0]}, "largest"), ({"width": 100}, "multiple of 8"),
                                        ({"prompts": ["a --q 1"]}, "--q"),
                                        ({"seeds": "1"}, "seeds")])
def test_wishes_are_checked_by_key(data, word):
    with pytest.raises(UserError, match=word):
        settings.read(data)
