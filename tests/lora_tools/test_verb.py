"""The verb `lora`: what stands where on its command line."""

import pytest
import torch

from lib_sdtune.__main__ import main
from tests.lora_tools import files


def test_merge_takes_each_file_with_its_weight(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = files.lora(tmp_path / "a.safetensors", dim=2, seed=1, convolutions=False)
    second = files.lora(tmp_path / "b.safetensors", dim=2, seed=2, convolutions=False)
    assert main(["lora", "merge", "sum.safetensors", "a.safetensors:0.5", "b.safetensors"]) == 0
    (first_layers, _), (second_layers, _), (merged, _) = (files.layers(path) for path in (first, second, tmp_path / "sum.safetensors"))
    for key, tensors in merged.items():
        expected = 0.5 * files.product(first_layers[key]) + files.product(second_layers[key])
        assert torch.allclose(files.product(tensors), expected, atol=1e-6), key


def test_resize_and_extract_name_the_result_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.lora(tmp_path / "a.safetensors", dim=4, seed=1, convolutions=False)
    assert main(["lora", "resize", "a.safetensors", "small.safetensors", "--dim", "2"]) == 0
    layers, _ = files.layers(tmp_path / "small.safetensors")
    assert all(len(tensors["lora_down.weight"]) == 2 for tensors in layers.values())
    files.checkpoint(tmp_path / "before.safetensors")
    files.checkpoint(tmp_path / "after.safetensors", change=0.1)
    assert main(["lora", "extract", "after.safetensors", "before.safetensors", "learned.safetensors", "--dim", "2"]) == 0
    assert files.layers(tmp_path / "learned.safetensors")[0]


@pytest.mark.parametrize("arguments", [
    ["merge", "x.safetensors", "a.safetensors:nan"], ["merge", "x.safetensors", "a.safetensors", "b.safetensors:inf"],
    ["merge", "x.safetensors", "a.safetensors:-inf", "--checkpoint", "base.safetensors"],
    ["extract", "base.safetensors", "base.safetensors", "x.safetensors", "--min-diff", "nan"],
    ["extract", "base.safetensors", "base.safetensors", "x.safetensors", "--min-diff", "-1"]])
def test_figures_that_are_no_numbers_are_refused_by_name(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        files.lora(tmp_path / f"{name}.safetensors", dim=2, convolutions=False)
    files.checkpoint(tmp_path / "base.safetensors")
    assert main(["lora", *arguments]) == 2 and not (tmp_path / "x.safetensors").exists()
    error = capsys.readouterr().err
    named = arguments[-1] if arguments[0] == "extract" else next(text.rpartition(":")[2] for text in arguments if ":" in text)
    assert error.count("\n") == 1 and named in error and "damaged" not in error, error


def test_what_is_no_file_is_named(tmp_path, capsys):
    assert main(["lora", "merge", str(tmp_path / "sum.safetensors"), "nowhere.safetensors:0.5"]) == 2
    assert "nowhere.safetensors" in capsys.readouterr().err
