"""A disk that fills up in the middle of a run: it pauses with what it had saved, and goes on when there is room."""

import errno

import pytest
import torch

from lib_sdtune.formats import files
from tests.hosts import TinyHost, pictures, settings, train


class Disk:
    """A disk that refuses large files while it is full."""

    def __init__(self, monkeypatch):
        self.full, self.refused, self.sync = False, 0, files.sync
        monkeypatch.setattr(files, "sync", self.written)
        monkeypatch.setattr("lib_sdtune.training.trainer.free_space", lambda folder: 0 if self.full else 2**50)

    def written(self, path):
        if self.full and path.stat().st_size > 50_000:
            self.refused += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        self.sync(path)


@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_the_run_pauses_says_so_and_goes_on_by_itself(tmp_path, monkeypatch, method):
    images, results = pictures(tmp_path / "10_ron"), []
    for place in ("roomy", "full"):
        host, disk, told = TinyHost(tmp_path / place), Disk(monkeypatch), []
        host.model.folder = host.folder

        def watch(control, place=place, disk=disk, told=told):
            if place == "full" and control.state == "training" and control.step == 1 and not disk.refused:
                disk.full = True
            if control.state == "paused":
                told.append(control.snapshot()["message"])
                states = list((control.folder / "state").glob("*"))
                assert [path.name for path in states] == ["step00000001.safetensors"]
                disk.full = False

        train(host, settings(images, method=method, train={"max_train_steps": 3}, save={"state_every_n_steps": 1}), watch=watch)
        assert bool(disk.refused) == (place == "full") and all("Make room" in text for text in told) and bool(told) == (place == "full")
        kind = {"lora": "lora", "dreambooth": "checkpoints"}[method]
        results.append((host.folder(kind) / "ron.safetensors").read_bytes())
        monkeypatch.undo()
    assert results[0] == results[1]


def test_a_full_disk_at_the_end_keeps_the_last_state(tmp_path, monkeypatch):
    from lib_sdtune.errors import DiskFull
    from lib_sdtune.training import state

    host, disk = TinyHost(tmp_path / "data"), Disk(monkeypatch)

    def watch(control):
        disk.full = control.step == 3

    with pytest.raises(DiskFull):
        train(host, settings(pictures(tmp_path / "10_ron"), train={"max_train_steps": 3}, save={"state_every_n_steps": 2}), watch=watch)
    learned, rest = state.load(state.newest(host.folder("sdtune") / "runs" / "ron"))
    assert rest["step"] == 2 and all(torch.isfinite(tensor).all() for tensor in learned.values())
