"""Files that another program has open, and disks that are away: by-products never end a run, and for the rest it pauses."""

import errno
import json
import os
from types import SimpleNamespace

import pytest

from lib_sdtune.errors import UserError
from lib_sdtune.training import disk_space, log_csv, replaced_run
from tests.hosts import Config, TinyHost, begin, pictures, settings, train

SHORT = {"train": {"max_train_steps": 3}, "sample": {"every_n_steps": 2, "prompts": ["a cat"], "steps": 2},
         "save": {"state_every_n_steps": 1, "every_n_steps": 2, "precision": "float"}}


class Refusing:
    """Lets nobody rename a file over one whose path `matches`, `times` times. there: only one that is there already."""

    def __init__(self, monkeypatch, matches, times=10**9, error=errno.EACCES, there=False):
        self.matches, self.left, self.error, self.replace, self.there = matches, times, error, os.replace, there
        monkeypatch.setattr(os, "replace", self)

    def __call__(self, source, target):
        if self.left and self.matches in str(target) and (os.path.exists(target) or not self.there):
            self.left -= 1
            raise OSError(self.error, os.strerror(self.error), str(target))
        self.replace(source, target)


@pytest.fixture
def run(tmp_path):
    images = pictures(tmp_path / "10_ron")
    return lambda **options: train(TinyHost(tmp_path / "data"), settings(images, **SHORT), **options)


@pytest.mark.parametrize("name", ["status.json", "pictures.json"])
@pytest.mark.parametrize("times", [1, 10**9])
def test_a_by_product_that_cannot_be_written_ends_no_run(run, monkeypatch, caplog, name, times):
    Refusing(monkeypatch, name, times, there=True)
    control = run()
    assert control.state == "finished" and control.artefacts
    assert caplog.text.count(f"{name} is not up to date") == 1
    if name == "status.json":  # overwritten in its place
        assert json.loads((control.folder / name).read_text())["state"] == "finished"


@pytest.mark.parametrize("matches", ["state/step00000002", "ron-step00000002.safetensors", "samples", "ron.safetensors", "ron.json"])
@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_the_run_pauses_until_what_it_needs_can_be_written(run, monkeypatch, matches, error):
    monkeypatch.setattr(disk_space, "LOOK_EVERY", 0)
    Refusing(monkeypatch, matches, 1, error)
    messages = []
    control = run(watch=lambda control: control.state == "paused" and messages.append(control.message))
    assert control.state == "finished" and messages and all("Close what has it open" in text and "Make room" not in text for text in messages)
    names = {path.name for path in control.folder.parent.parent.parent.rglob("*") if path.is_file()}
    assert {"ron.safetensors", "ron-step00000002.safetensors", "ron.json", "step00000002-00.png", "step00000003.safetensors"} <= names


@pytest.mark.parametrize("name, cached, refused", [("latents", True, True), ("latents", False, False), ("text", True, True)])
def test_a_cache_of_somebody_elses_is_told_before_the_run(tmp_path, monkeypatch, name, cached, refused):
    host, access = TinyHost(tmp_path / "data"), os.access
    cache = host.folder("sdtune") / "cache" / name
    cache.mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: path != cache and access(path, mode))
    config = settings(pictures(tmp_path / "10_ron"), dataset={"cache_latents": cached}, train={"max_train_steps": 1})
    if refused:
        with pytest.raises(UserError, match=f"cache.{name} cannot be written"):
            begin(Config.from_dict(config), host)
        assert not (host.folder("sdtune") / "runs" / "ron").exists()
    else:
        begin(Config.from_dict(config), host).close()


def test_a_disk_that_cannot_be_asked_has_no_room_yet(tmp_path, monkeypatch):
    def away(folder):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(disk_space, "free_space", away)
    control = SimpleNamespace(pause_until=lambda *args: setattr(control, "asked", args))

    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    assert disk_space.paused_where_refused(full, control, lambda: 0, "", tmp_path) is None
    assert control.asked[1]() is False


def locked(monkeypatch, refused):
    """log.csv cannot be opened for writing nor replaced while refused["now"], as with a spreadsheet on Windows."""
    opened, replace = open, os.replace

    def check(path):
        if refused["now"] and str(path).endswith("log.csv"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    def opening(path, mode="r", *args, **kwargs):
        if mode != "r":
            check(path)
        return opened(path, mode, *args, **kwargs)

    monkeypatch.setattr(log_csv, "open", opening, raising=False)
    monkeypatch.setattr(os, "replace", lambda source, target: check(target) or replace(source, target))
    monkeypatch.setattr(log_csv, "TRY_EVERY", 0)


def test_a_log_that_a_spreadsheet_has_open_at_resume_gets_its_rows_later(run, monkeypatch):
    def stop_at_two(control):
        if control.state == "training" and control.step == 2:
            control.request("interrupt")

    control = run(watch=stop_at_two)
    refused = {"now": True}
    locked(monkeypatch, refused)

    def close_it(control):
        refused["now"] = control.state != "finished" and control.step < 3

    control = run(resume=True, watch=close_it)
    assert [row["step"] for row in log_csv.read(control.folder / "log.csv")] == [1, 2, 3]
    assert (control.folder / "run.log").read_text().count("Close the program that has it open before the run ends") == 1


def test_rows_that_never_found_their_file_are_told(run, monkeypatch):
    locked(monkeypatch, {"now": True})
    control = run()
    assert control.state == "finished" and not (control.folder / "log.csv").exists()
    assert "The last rows of" in (control.folder / "run.log").read_text()


def test_a_log_on_a_drive_that_was_away_is_opened_anew(tmp_path):
    rows = log_csv.LogCsv(tmp_path)
    rows.write({"step": 1, "loss": 0.5})
    os.close(rows.file.fileno())  # every further write is refused
    rows.write({"step": 2, "loss": 0.25})
    rows.close()
    assert [row["step"] for row in log_csv.read(tmp_path / "log.csv")] == [1, 2]


def test_an_earlier_run_that_cannot_be_put_aside_stays_as_it_was(run, tmp_path, monkeypatch):
    def stop_at_two(control):
        if control.state == "training" and control.step == 2:
            control.request("interrupt")

    folder = run(watch=stop_at_two).folder
    before = sorted(path.name for path in folder.iterdir())
    Refusing(monkeypatch, "replaced-halfway/log.csv")
    with pytest.raises(UserError, match="The earlier run .* cannot be put aside: .*log.csv cannot be moved"):
        replaced_run.put_aside(folder)
    assert sorted(path.name for path in folder.iterdir()) == before
