"""Tensors in a file come back bit for bit, whatever their format, and a broken disk is noticed."""

import os

import pytest
import torch
from safetensors.torch import load_file

from lib_sdtune.errors import RunError
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.formats.backup import TensorBackup
from lib_sdtune.formats.tensors import digest
from tests.pretended import pretended_cuda


def sample():
    chance = torch.Generator().manual_seed(1)
    values = torch.randn(7, 5, generator=chance)
    return {"a.float": values, "a.half": values.half(), "a.brain": values.bfloat16(), "b.whole": torch.arange(5), "b.one": torch.tensor(3.0),
            "b.none": torch.empty(0, 3), "b.nan": torch.tensor([float("nan"), float("inf")])}


def test_what_is_put_by_comes_back_and_others_can_read_it(tmp_path):
    aside = TensorBackup(tmp_path / "x.safetensors")
    aside.write(sample())
    assert digest(aside.tensors()) == digest(sample()) == digest(load_file(aside.path))
    assert sorted(safetensors.Stored(aside.path, "a.")) == ["brain", "float", "half"]
    aside.delete()
    assert not list(tmp_path.iterdir()) and not aside.checksums


def test_the_digest_sees_names_shapes_formats_and_single_bits():
    base = {"x": torch.zeros(4)}
    others = [{"y": torch.zeros(4)}, {"x": torch.zeros(2, 2)}, {"x": torch.zeros(4, dtype=torch.int32)}, {"x": torch.tensor([0.0, 0, 0, -0.0])}]
    assert len({digest(held) for held in [base, *others]}) == 5


def test_a_disk_that_gives_back_something_else_is_noticed(tmp_path, monkeypatch):
    aside, put_by = TensorBackup(tmp_path / "x.safetensors"), {"x": torch.ones(3), "y": torch.ones(3)}
    aside.write(put_by)
    aside.check()
    damaged = bytearray(aside.path.read_bytes())
    damaged[-1] ^= 1
    aside.path.write_bytes(damaged)
    assert torch.equal(aside.checked("x"), put_by["x"])
    for read in (aside.check, lambda: aside.checked("y")):
        with pytest.raises(RunError, match="check that disk"):
            read()


def test_single_bits_and_missing_tensors_are_not_what_was_put_by(tmp_path):
    aside = TensorBackup(tmp_path / "x.safetensors")
    aside.write(sample())
    assert aside.holds(sample())
    assert not aside.holds(sample() | {"b.whole": torch.tensor([0, 1, 2, 3, 5])}) and not aside.holds({"b.one": torch.tensor(3.0)})


def test_each_tensor_is_fetched_once_and_nothing_waits_for_the_disk(tmp_path, monkeypatch):
    """A whole model is put by before somebody's picture."""
    monkeypatch.setattr(os, "fsync", lambda handle: pytest.fail("it waits for the disk"))
    monkeypatch.setattr(safetensors.Stored, "__getitem__", lambda self, name: pytest.fail("it is read back"))
    with pretended_cuda() as card:
        weights = {name: torch.ones(3, device="cuda") for name in "xyz"}
        with card.counting() as counts:
            TensorBackup(tmp_path / "x.safetensors").write(weights)
    assert counts.total("downloads") == 3


def test_precision_applies_to_floating_tensors_alone_and_overflow_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.write(path, {"w": torch.full((2,), 0.1), "ids": torch.arange(3)}, precision=torch.float16)
    assert load_file(path)["w"].dtype == torch.float16 and load_file(path)["ids"].dtype == torch.int64
    with pytest.raises(RunError, match='w holds values above 65504.*"save.precision"'):
        safetensors.write(path, {"w": torch.tensor([1e6])}, precision=torch.float16)
    with pytest.raises(RunError, match="not numbers.*Lower the learning rate"):
        safetensors.write(path, {"w": torch.tensor([float("nan"), 1e6])}, precision=torch.float16)
    assert load_file(path)["w"][0] == torch.tensor(0.1).half()
