"""The text for a bug report says what is needed to understand it, and nothing that is the user's own business."""

import sys
from pathlib import Path
from types import SimpleNamespace

from lib_sdtune import __version__
from lib_sdtune.report import machine, report
from tests.pretended import pretended_cuda

STATUS = {"id": "ron", "method": "lora", "state": "failed", "step": 3, "total_steps": 9, "message": "The disk is full.", "more": 1}


def test_it_has_run_version_machine_settings_and_log(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["webui.py", "--api-auth", "me:secret", "--medvram"])
    (tmp_path / "run.log").write_text(f"pictures of {Path.home()}/ron\n", encoding="utf-8")
    folder = SimpleNamespace(path=tmp_path, settings=lambda: {"name": "ron"}, problem=lambda: "")
    text = report(folder, STATUS)
    assert f"### SD Tune\n{__version__}\n" in text and '"message": "The disk is full."' in text and '{"name": "ron"}' in text
    assert "pictures of ~/ron" in text and "--medvram" in text and "secret" not in text


def test_every_card_of_the_machine_is_named():
    """The WebUI's --device-id trains on another than the first."""
    with pretended_cuda(total=8 * 2**30, count=2):
        assert machine().endswith(", Pretended GPU with 8 GB, Pretended GPU with 8 GB")
