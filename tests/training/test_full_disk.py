"""A disk that fills up in the middle of a run: it pauses with what it had saved, and goes on when there is room."""

import contextlib
import errno
import io
import json
import logging
import os
import shutil
from types import SimpleNamespace

import pytest

from lib_sdtune.config import Config
from lib_sdtune.data import tensor_store
from lib_sdtune.errors import DiskFull
from lib_sdtune.formats import files
from lib_sdtune.training import log_csv, run_log, state
from lib_sdtune.training.run import run
from lib_sdtune.training.runs import begin
from lib_sdtune.training.startup import once_there_is_room
from tests.hosts import TinyHost, pictures, settings, train


class Disk:
    """A disk that refuses large files while it is full."""

    def __init__(self, monkeypatch):
        self.full, self.refused, self.replace = False, 0, files.replace_when_free
        monkeypatch.setattr(files, "replace_when_free", self.written)
        monkeypatch.setattr("lib_sdtune.training.disk_space.free_space", lambda folder: 0 if self.full else 2**50)

    def written(self, unfinished, path, patience):
        if self.full and unfinished.stat().st_size > 50_000:
            self.refused += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        self.replace(unfinished, path, patience)


@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_the_run_pauses_says_so_and_goes_on_by_itself(tmp_path, monkeypatch, method):
    images, results = pictures(tmp_path / "10_ron"), []
    for place in ("roomy", "full"):
        host, disk, messages = TinyHost(tmp_path / place), Disk(monkeypatch), []
        host.model.folder = host.folder

        def watch(control, place=place, disk=disk, messages=messages):
            if place == "full" and control.state == "training" and control.step == 1 and not disk.refused:
                disk.full = True
            if control.state == "paused":
                messages.append(control.snapshot()["message"])
                states = list((control.folder / "state").glob("*"))
                assert [path.name for path in states] == ["step00000001.safetensors"]
                disk.full = False

        train(host, settings(images, method=method, train={"max_train_steps": 3}, save={"state_every_n_steps": 1}), watch=watch)
        assert bool(disk.refused) == (place == "full") and all("Make room" in text for text in messages) and bool(messages) == (place == "full")
        kind = {"lora": "lora", "dreambooth": "checkpoints"}[method]
        results.append((host.folder(kind) / "ron.safetensors").read_bytes())
        monkeypatch.undo()
    assert results[0] == results[1]


SHORT = {"train": {"max_train_steps": 2}, "sample": {"every_n_steps": 1, "prompts": ["a cat"], "steps": 2}, "save": {"state_every_n_steps": 1}}


class Full:
    """A disk that has no room for the first file that `matches`, nor for any other, until the run has paused.

    away: it cannot be asked for its room at first, as a network drive that is gone, and has room when it is back.
    """

    def __init__(self, monkeypatch, matches, away=False):
        self.matches, self.full, self.refused, self.told, self.away = matches, False, [], [], away
        self.replace, self.store = files.replace_when_free, tensor_store.write
        monkeypatch.setattr(files, "replace_when_free", lambda unfinished, *rest: self.refuse(unfinished) or self.replace(unfinished, *rest))
        monkeypatch.setattr(tensor_store, "write", lambda path, tensors: self.refuse(path) or self.store(path, tensors))
        monkeypatch.setattr(shutil, "disk_usage", self.usage)

    def usage(self, folder):
        if self.told and self.full and self.away:
            self.full = False
            raise OSError(errno.ESTALE, "Stale file handle")
        return SimpleNamespace(free=0 if self.full else 2**50)

    def refuse(self, path):
        self.full = self.full or not self.refused and self.matches in str(path)
        if self.full:
            self.refused.append(path)
            raise OSError(errno.ENOSPC, "No space left on device")

    def watch(self, control):
        """Make room once the run has paused."""
        if control.state == "paused":
            self.told.append((control.message, json.loads((control.folder / "status.json").read_text())["state"]))
            self.full = self.full and self.away


@pytest.mark.parametrize("matches", ["cache/latents", "samples", "models/Lora/ron.safetensors", "ron.json"])
def test_pauses_wherever_the_disk_is_full(tmp_path, monkeypatch, capfd, matches):
    images, whole, host = pictures(tmp_path / "10_ron"), TinyHost(tmp_path / "whole"), TinyHost(tmp_path / "data")
    train(whole, settings(images, **SHORT))
    disk = Full(monkeypatch, matches)
    control = train(host, settings(images, **SHORT), watch=disk.watch)
    assert control.state == "finished" and disk.told
    assert all("Make room" in message and state == "paused" for message, state in disk.told)
    files = [sorted((path.relative_to(data), path.read_bytes()) for path in data.rglob("*") if path.suffix in (".safetensors", ".png", ".json")
                   and path.name not in ("status.json", "lock.json", "checkpoint.json", "pictures.json") and not {"cache", "state"} & {*path.parts})
            for data in (whole.data_dir, host.data_dir)]
    assert files[0] == files[1] and not list(host.data_dir.rglob("*.tmp"))
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("matches", ["samples", "state/step00000001"])
@pytest.mark.parametrize(("request_", "state"), [("interrupt", "stopped"), ("stop_without_saving", "stopped"), ("stop", "failed")])
def test_stopped_while_the_disk_stays_full_it_ends(tmp_path, monkeypatch, matches, request_, state):
    """What found no room is not tried for ever by a run that nobody wants any more; only a file that was asked for is missed."""
    disk = Full(monkeypatch, matches)

    def stop(control):
        assert len(disk.refused) < 60  # else it would go on so
        if control.state == "paused":
            control.request(request_)

    host = TinyHost(tmp_path / "data")
    config = Config.from_dict(settings(pictures(tmp_path / "10_ron", 1), **SHORT))
    control = begin(config, host, on_change=stop)
    with contextlib.suppress(DiskFull):
        run(config, host, control)
    assert (control.state, control.step) == (state, 1) and disk.refused, control.message


CLASS = "pictures", {"class_images": "class", "num_class_images": 3}
TAUGHT = "teacher", {}


@pytest.mark.parametrize(("matches", "keeping"), [("class-00001.png", CLASS), ("teacher", TAUGHT), ("originals", TAUGHT)])
def test_what_comes_before_the_first_step_waits_for_room_too(tmp_path, monkeypatch, matches, keeping):
    images, contents = pictures(tmp_path / "10_ron"), []
    for place in ("whole", "full"):
        (tmp_path / place).mkdir()
        concept = {"images": str(images), "prompt": "a photo of ron cat", "class_prompt": "a photo of a cat", **keeping[1]}
        host = TinyHost(tmp_path / place / "data")
        monkeypatch.chdir(tmp_path / place)
        disk = Full(monkeypatch, matches if place == "full" else "no such file")
        control = train(host, settings("", method="dreambooth", concepts=[concept], loss={"prior_preservation": keeping[0]}, **SHORT), watch=disk.watch)
        assert control.state == "finished" and bool(disk.told) == bool(disk.refused) == (place == "full")
        assert all("Make room" in message and state == "paused" for message, state in disk.told)
        files = [host.folder("checkpoints") / "ron.safetensors", *(tmp_path / place).rglob("class-*.png"), *(tmp_path / place).rglob("teacher.*")]
        contents.append([(path.name, path.read_bytes()) for path in sorted(files)])
        monkeypatch.undo()
    assert contents[0] == contents[1] and len(contents[0]) == (4 if keeping is CLASS else 2)


@pytest.mark.parametrize("matches", ["cache/latents", "class-00001.png"])
def test_waits_for_a_disk_that_cannot_be_asked_for_its_room(tmp_path, monkeypatch, matches):
    concept = {"images": str(pictures(tmp_path / "10_ron")), "class_prompt": "a photo of a cat", "class_images": str(tmp_path / "class"),
               "num_class_images": 2}
    host, disk = TinyHost(tmp_path / "data"), Full(monkeypatch, matches, away=True)
    config = settings("", method="dreambooth", concepts=[concept], loss={"prior_preservation": "pictures"}, train={"max_train_steps": 1})
    control = train(host, config, watch=disk.watch)
    assert control.state == "finished" and disk.told and all("Make room" in message for message, _ in disk.told)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), DiskFull("Latents could not be written.")])
def test_processes_that_train_together_say_that_they_cannot_wait(error):
    def prepare():
        raise error

    together = SimpleNamespace(world=SimpleNamespace(size=2))
    with pytest.raises(DiskFull, match="processes that train together cannot wait for room. Make room"):
        once_there_is_room(prepare, lambda: True, None, together)


def test_stopped_while_there_is_no_room_for_the_final_file(tmp_path, monkeypatch):
    host, disk = TinyHost(tmp_path / "data"), Full(monkeypatch, "models/Lora/ron.safetensors")

    def stop(control):
        if control.state == "paused":
            control.request("stop")

    with pytest.raises(DiskFull, match="Make room"):
        train(host, settings(pictures(tmp_path / "10_ron"), **SHORT), watch=stop)
    folder = host.folder("sdtune") / "runs" / "ron"
    assert disk.full and json.loads((folder / "status.json").read_text())["state"] == "failed"
    assert state.load(state.newest(folder))[1]["step"] == 2


class NoRoom(io.RawIOBase):
    """A file on a full disk."""

    def writable(self):
        return True

    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_keeps_its_rows_until_there_is_room(tmp_path):
    rows = log_csv.LogCsv(tmp_path)
    rows.file, roomy = NoRoom(), rows.file
    rows.write({"step": 1, "loss": 0.5})
    rows.file = roomy
    rows.write({"step": 2, "loss": 0.25})
    rows.close()
    assert [row["step"] for row in log_csv.read(tmp_path / "log.csv")] == [1, 2]


def test_a_full_disk_under_run_log_is_told_to_nobody(tmp_path, capfd):
    with run_log.recorded(tmp_path):
        handler = logging.getLogger("sdtune").handlers[-1]
        handler.stream.close()
        handler.stream = io.TextIOWrapper(io.BufferedWriter(NoRoom()), write_through=True)
        logging.getLogger("sdtune").warning("a line that finds no room")
    assert "Logging error" not in capfd.readouterr().err


def test_what_a_killed_process_was_writing_is_swept(tmp_path):
    host, images = TinyHost(tmp_path / "data"), pictures(tmp_path / "10_ron")
    entry = host.folder("sdtune") / "cache" / "latents" / "ab"
    left = [host.folder("lora") / "ron-step00000004.safetensors.tmp", host.folder("lora") / "ron.preview.png.tmp",
            host.folder("sdtune") / "runs" / "ron" / "samples" / "step00000002-00.png.tmp", entry / "abc.safetensors.1-2.tmp"]
    others = [host.folder("lora") / "rona.safetensors.tmp", host.folder("lora") / "ron 2.safetensors.tmp", entry / "abd.safetensors.1-2.tmp"]
    for path in (*left, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    os.utime(left[-1], (0, 0))
    train(host, settings(images, train={"max_train_steps": 1}))
    assert not any(path.exists() for path in left) and all(path.exists() for path in others)
