"""`python -m benchmarks.gpu`, tried on the CPU with tiny models; its figures there mean nothing."""

import json

from benchmarks.gpu import __main__ as command


def call(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["gpu", *map(str, arguments)])
    return command.main()


def test_it_checks_and_measures_and_writes_what_it_found(tmp_path, monkeypatch, capsys):
    checks = ["lora in half precision", "dreambooth on a full device", "resume"]
    monkeypatch.setattr(command, "CHECKS", {name: command.CHECKS[name] for name in checks})
    monkeypatch.setattr(command, "CASES", [command.CASES[0], command.CASES[5], command.CASES[7]])
    path = tmp_path / "gpu.json"
    assert call(monkeypatch, "--device", "cpu", "--size", "tiny", "--steps", 1, "--json", path) == 0
    report, printed = json.loads(path.read_text(encoding="utf-8")), capsys.readouterr().out
    assert [each["name"] for each in report["checks"]] == checks and all(each["passed"] for each in report["checks"])
    assert [figures["title"] in printed for figures in report["steps"]] == [True] * 3 and not report["left_out"]
    lora, sdxl, dreambooth = report["steps"]
    assert min(lora["ms"], lora["floor_ms"], lora["sd_scripts_ms"], sdxl["ratio"]) > 0 and dreambooth["ratio"] is None


def test_what_there_was_no_time_for_is_named(monkeypatch, capsys):
    assert call(monkeypatch, "--device", "cpu", "--size", "tiny", "--minutes", -1) == 0
    assert "No time was left for: SD1.5 LoRA" in capsys.readouterr().out


def test_without_a_gpu_it_says_so_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert call(monkeypatch) == 2
    assert capsys.readouterr().err.count("\n") == 1
