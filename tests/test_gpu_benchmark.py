"""`python -m benchmarks.gpu`, tried on the CPU with tiny models; its figures there mean nothing."""

import errno
import json
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import checks, jobs, measuring
from benchmarks.gpu.models import CannotBeHad
from lib_sdtune.errors import TooLittleMemory
from lib_sdtune.formats import files
from tests.pretended import pretended_cuda


@pytest.fixture(autouse=True)
def ended(monkeypatch):
    """Exit statuses with which the program would have been ended from outside."""
    statuses = []
    monkeypatch.setattr(jobs, "end_program", statuses.append)
    return statuses


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


def test_a_job_that_hangs_does_not_keep_it_from_ending(tmp_path, monkeypatch, capsys, ended):
    """As a driver can that swaps to the computer's memory, or a kernel that never comes back."""
    let_go = threading.Event()

    def hangs(*arguments):
        let_go.wait(30)
        return True, "late"

    monkeypatch.setattr(jobs, "end_program", lambda status: (ended.append(status), let_go.set()))
    monkeypatch.setattr(jobs, "MARGIN", 0.3)
    monkeypatch.setattr(command, "CASES", [])
    monkeypatch.setattr(command, "CHECKS", {"sound": lambda *arguments: (True, "fine"), "hangs": hangs, "resume": hangs})
    path = tmp_path / "gpu.json"
    call(monkeypatch, "--device", "cpu", "--size", "tiny", "--minutes", 1 / 60, "--json", path)
    assert ended == [0]
    printed = capsys.readouterr().out
    assert printed.count("Left out: hangs (its time was over); resume (no time was left)") == 1
    assert '"sound"' in path.read_text(encoding="utf-8")


def test_what_is_known_is_written_as_soon_as_it_is(tmp_path, monkeypatch):
    path = tmp_path / "gpu.json"

    def killed(*arguments):
        assert json.loads(path.read_text(encoding="utf-8"))["checks"] == [{"name": "sound", "passed": True, "detail": "fine"}]
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "CASES", [])
    monkeypatch.setattr(command, "CHECKS", {"sound": lambda *arguments: (True, "fine"), "killed": killed})
    with pytest.raises(KeyboardInterrupt):
        call(monkeypatch, "--device", "cpu", "--size", "tiny", "--json", path)


def test_cases_leave_time_for_the_checks(monkeypatch, capsys):
    order = []

    def slow(case, *arguments):
        order.append(case.title)
        time.sleep(0.4)
        raise CannotBeHad("too small")

    monkeypatch.setattr(jobs, "MARGIN", 0)
    monkeypatch.setattr(command, "measure", slow)
    monkeypatch.setattr(command, "CASES", command.CASES[:3])
    monkeypatch.setattr(command, "CHECKS", {"resume": lambda *arguments: (order.append("check"), (True, "fine"))[1]})
    assert call(monkeypatch, "--device", "cpu", "--size", "tiny", "--minutes", 1.4 / 60) == 0
    assert order.index("check") == 2


def test_few_slow_steps_are_measured_and_many_fast_ones():
    called = []

    def slow():
        called.append(1)
        time.sleep(0.05)

    assert measuring.milliseconds(slow, 100, torch.device("cpu"), longest=0.3) >= 50
    assert len(called) <= 12
    called.clear()
    measuring.milliseconds(lambda: called.append(1), 5, torch.device("cpu"), longest=10)
    assert len(called) == measuring.WARM_UP + 5


def test_a_card_without_half_precision_has_nothing_to_compare(tmp_path):
    with pretended_cuda(capability=(7, 5), name="NVIDIA GeForce GTX 1660"), pytest.raises(CannotBeHad, match="float32 alone"):
        command.CHECKS["lora in half precision"](torch.device("cuda"), "tiny", tmp_path)


def test_graphs_are_not_measured_where_training_does_without(tmp_path, monkeypatch):
    """A small card recomputes, and the same step twice would take its time."""
    monkeypatch.setattr("lib_sdtune.training.trainer.recomputes", lambda *arguments: True)
    with pretended_cuda(), pytest.raises(CannotBeHad, match="no CUDA graphs"):
        measuring.measure(command.CASES[2], torch.device("cuda"), "tiny", 1, tmp_path)


def test_forward_and_backward_without_room_take_no_figures_away(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "bare", full_card)
    figures = measuring.measure(command.CASES[7], torch.device("cpu"), "tiny", 1, tmp_path)
    assert figures["ms"] > 0 and figures["floor_ms"] is figures["share"] is None and "no room" in figures["missing"]
    assert figures["title"] in measuring.row(figures)


def test_a_card_that_is_too_small_fails_no_check(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "is_too_small", lambda *arguments: True)
    monkeypatch.setattr(checks.Objective, "predict", full_card)
    with pytest.raises(CannotBeHad, match="too small"):
        command.CHECKS["resume"](torch.device("cpu"), "tiny", tmp_path)


def full_card(*arguments):
    raise torch.cuda.OutOfMemoryError("CUDA out of memory.")


def test_without_a_gpu_it_says_so_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert call(monkeypatch) == 2
    assert capsys.readouterr().err.count("\n") == 1
