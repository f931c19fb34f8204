"""`python -m benchmarks.gpu`, tried on the CPU with tiny models; its figures there mean nothing."""

import errno
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import checks, measuring
from lib_sdtune.errors import TooLittleMemory
from lib_sdtune.formats import files
from tests.pretended import pretended_cuda


def call(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["gpu", *map(str, arguments)])
    return command.main()


def test_it_checks_and_measures_and_writes_what_it_found(tmp_path, monkeypatch, capsys):
    chosen = ["lora in half precision", "dreambooth on a full device", "resume"]
    monkeypatch.setattr(command, "CHECKS", {name: command.CHECKS[name] for name in chosen})
    monkeypatch.setattr(command, "CASES", [command.CASES[0], command.CASES[5], command.CASES[7]])
    path = tmp_path / "gpu.json"
    assert call(monkeypatch, "--device", "cpu", "--size", "tiny", "--steps", 1, "--json", path) == 0
    report, printed = json.loads(path.read_text(encoding="utf-8")), capsys.readouterr().out
    assert [each["name"] for each in report["checks"]] == chosen and all(each["passed"] for each in report["checks"])
    assert [figures["title"] in printed for figures in report["steps"]] == [True] * 3 and not report["left_out"]
    lora, sdxl, dreambooth = report["steps"]
    assert min(lora["ms"], lora["floor_ms"], lora["sd_scripts_ms"], sdxl["ratio"]) > 0 and dreambooth["ratio"] is None


def test_it_passes_on_a_card(tmp_path, monkeypatch):
    path, chosen = tmp_path / "gpu.json", [name for name in command.CHECKS if "full" in name or "lora with" in name]
    monkeypatch.setattr(command, "CHECKS", {name: command.CHECKS[name] for name in chosen})
    monkeypatch.setattr(command, "CASES", [command.CASES[2], command.CASES[6]])
    with pretended_cuda():
        assert call(monkeypatch, "--size", "tiny", "--steps", 1, "--minutes", 60, "--json", path) == 0
    report = json.loads(path.read_text(encoding="utf-8"))
    assert [check["name"] for check in report["checks"]] == chosen and not report["left_out"]
    assert all(figures["ratio"] for figures in report["steps"])


def test_graphs_that_were_given_up_do_not_pass(tmp_path, monkeypatch):
    def refuse(*arguments, **settings):
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    with pretended_cuda():
        monkeypatch.setattr("torch.cuda.make_graphed_callables", refuse)
        passed, detail = command.CHECKS["lora with CUDA graphs"](torch.device("cuda"), "tiny", tmp_path)
    assert not passed and "no graph" in detail


def test_what_failed_is_named_and_the_rest_is_measured(tmp_path, monkeypatch, capsys):
    def full(*arguments):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")

    case = command.CASES[0]
    monkeypatch.setattr(command, "CASES", [replace(case, family="no such family"), case])
    monkeypatch.setattr(command, "CHECKS", {"lora on a full device": full, "resume": command.CHECKS["resume"]})
    path = tmp_path / "gpu.json"
    assert call(monkeypatch, "--device", "cpu", "--size", "tiny", "--steps", 1, "--json", path) == 1
    report = json.loads(path.read_text(encoding="utf-8"))
    assert [figures["title"] for figures in report["steps"]] == [case.title]
    assert [check["passed"] for check in report["checks"]] == [False, True]
    assert "no such family" in report["left_out"][0] and "Tried to allocate" in report["checks"][0]["detail"]


def test_a_full_disk_ends_it_instead_of_being_waited_for(tmp_path, monkeypatch):
    free = [2**50]

    def refuse(unfinished, path, *rest):
        if path.suffix == ".safetensors":
            free[0] = 0
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(unfinished, path, *rest)

    replace = files.replace_when_free
    monkeypatch.setattr(files, "replace_when_free", refuse)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free[0]))
    for name in ("dreambooth in half precision", "resume"):
        free[0] = 2**50
        with pytest.raises(RuntimeError, match="Make room"):
            command.CHECKS[name](torch.device("cpu"), "tiny", tmp_path / name)


def test_a_card_is_asked_for_the_formats_that_it_has():
    with pretended_cuda(capability=(7, 5)):
        assert list(checks.halves_of(torch.device("cuda"))) == ["fp16"]
    with pretended_cuda(capability=(7, 5), name="NVIDIA GeForce GTX 1660"):
        assert not checks.halves_of(torch.device("cuda"))
    with pretended_cuda():
        assert list(checks.halves_of(torch.device("cuda"))) == ["fp16", "bf16"]


def test_what_is_too_large_for_a_card_is_left_out(monkeypatch, capsys):
    """A step of sd-scripts that has no room takes no figures of ours away, and a check of it is none that failed."""
    def too_large(*arguments):
        raise TooLittleMemory("Not even one step would fit.")

    def full(*arguments, **settings):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(measuring, "lora_step", full)
    monkeypatch.setattr(command, "CASES", command.CASES[:1])
    monkeypatch.setattr(command, "CHECKS", {"dreambooth in half precision": too_large})
    assert call(monkeypatch, "--device", "cpu", "--size", "tiny", "--steps", 1) == 0
    printed = capsys.readouterr().out
    assert "| SD1.5 LoRA, UNet, fp16 |" in printed and "no room" in printed and "Not even one step" in printed


def test_a_failed_capture_ends_nothing_but_its_case(tmp_path, monkeypatch):
    """Nobody can empty the allocator's cache any more."""
    monkeypatch.setattr(command, "CASES", [command.CASES[2]])
    monkeypatch.setattr(command, "CHECKS", {})
    path = tmp_path / "gpu.json"
    with pretended_cuda() as card:
        card.failed_captures = 1
        assert call(monkeypatch, "--size", "tiny", "--steps", 1, "--minutes", 60, "--json", path) == 0
    report = json.loads(path.read_text(encoding="utf-8"))
    assert len(report["steps"]) == 1


def test_what_there_was_no_time_for_is_named(monkeypatch, capsys):
    assert call(monkeypatch, "--device", "cpu", "--size", "tiny", "--minutes", -1) == 0
    assert "Left out: SD1.5 LoRA, UNet, fp16 (no time was left)" in capsys.readouterr().out


def test_without_a_gpu_it_says_so_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert call(monkeypatch) == 2
    assert capsys.readouterr().err.count("\n") == 1
