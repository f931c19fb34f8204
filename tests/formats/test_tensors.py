import math

import pytest
import torch
from safetensors import safe_open

from lib_sdtune.errors import RunError
from lib_sdtune.formats import tensors


def mixed():
    return {"b": torch.randn(3, 2), "a": torch.arange(5, dtype=torch.int64), "half": torch.randn(7).half(), "flag": torch.tensor(True),
            "brain": torch.randn(2, 2).bfloat16(), "alpha": torch.tensor(8.0), "turned": torch.randn(4, 3).t(), "empty": torch.zeros(0, 3)}


def test_the_library_reads_what_we_write(tmp_path):
    held = mixed()
    tensors.write(tmp_path / "x.safetensors", held, {"key": "wert é"})
    with safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert set(file.keys()) == set(held)
        assert file.metadata() == {"key": "wert é"}
        for name, tensor in held.items():
            assert torch.equal(file.get_tensor(name), tensor), name


def test_the_same_content_gives_the_same_bytes(tmp_path):
    held = mixed()
    tensors.write(tmp_path / "1", held, {"a": "1", "b": "2", "c": "3"})
    tensors.write(tmp_path / "2", dict(reversed(held.items())), {"c": "3", "b": "2", "a": "1"})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_values_that_are_no_numbers_are_never_written(tmp_path):
    (tmp_path / "x").write_text("the last good file")
    with pytest.raises(RunError, match="bad.weight"):
        tensors.write(tmp_path / "x", {"bad.weight": torch.tensor([1.0, float("nan")])})
    assert (tmp_path / "x").read_text() == "the last good file"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_large_values_are_written_and_infinities_of_both_signs_are_not(tmp_path, dtype):
    largest = torch.full((3,), torch.finfo(dtype).max, dtype=dtype)
    tensors.write(tmp_path / "large.safetensors", {"x": largest})
    with pytest.raises(RunError):
        tensors.write(tmp_path / "infinite.safetensors", {"x": torch.tensor([math.inf, -math.inf, 1], dtype=dtype)})


def test_a_failed_write_leaves_the_old_file_and_no_scrap(tmp_path, monkeypatch):
    (tmp_path / "x").write_text("old")

    def full(tensor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensors, "raw", full)
    with pytest.raises(RunError, match="No space left"):
        tensors.write(tmp_path / "x", {"a": torch.zeros(1)})
    assert [p.name for p in tmp_path.iterdir()] == ["x"] and (tmp_path / "x").read_text() == "old"
