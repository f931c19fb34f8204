"""The text for a bug report says what is needed to understand it, and nothing that is the user's own business."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lib_sdtune import __version__
from lib_sdtune.report import machine, report, shown_flags
from tests.pretended import pretended_cuda

STATUS = {"id": "ron", "method": "lora", "state": "failed", "step": 3, "total_steps": 9, "message": "The disk is full.", "more": 1}


def test_it_has_run_version_machine_settings_and_log(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["webui.py", "--api-auth", "me:secret", "--medvram"])
    (tmp_path / "run.log").write_text(f"pictures of {Path.home()}/ron\n", encoding="utf-8")
    folder = SimpleNamespace(path=tmp_path, settings=lambda: {"name": "ron"}, problem=lambda: "")
    text = report(folder, STATUS)
    assert f"### SD Tune\n{__version__}\n" in text and '"message": "The disk is full."' in text and '{"name": "ron"}' in text
    assert "pictures of ~/ron" in text and "--medvram" in text and "secret" not in text


@pytest.mark.parametrize("home, text, shown", [
    ("C:\\Users\\Me", json.dumps({"images": "C:\\Users\\Me\\cats"}), '{"images": "~\\\\cats"}'),
    ("C:\\Users\\Me", "C:/Users/Me/cats", "~/cats"), ("/home/me", "/home/me: /home/meyer/cats", "~: /home/meyer/cats"),
    ("/root", "/root/cats /mnt/root/cats", "~/cats /mnt/root/cats"), ("/", "/mnt/cats", "/mnt/cats"), ("~", "/mnt/cats", "/mnt/cats")])
def test_the_home_folder_is_told_in_no_spelling(tmp_path, monkeypatch, home, text, shown):
    monkeypatch.setattr(os.path, "expanduser", lambda path: home)
    folder = SimpleNamespace(path=tmp_path, settings=lambda: {}, problem=lambda: text)
    assert f"### Settings\n{shown}\n" in report(folder, STATUS)


def test_flags_are_told_without_passwords():
    flags = ["--api-auth", "me:se cret", "--gradio-auth=me:secret", "--ngrok", "token", "--ngrok-options", '{"basic_auth":"me:secret"}', "--gradio-auth-path", "file"]
    assert list(shown_flags(flags)) == ["--api-auth", "***", "--gradio-auth=***", "--ngrok", "***", "--ngrok-options", "***", "--gradio-auth-path", "file"]


def test_every_card_of_the_machine_is_named():
    """The WebUI's --device-id trains on another than the first."""
    with pretended_cuda(total=8 * 2**30, count=2):
        assert machine().endswith(", Pretended GPU with 8 GB, Pretended GPU with 8 GB")
