"""What a power cut leaves: a state counts on the rows of the log up to it, so they are on the disk first."""

import os

from lib_sdtune.training import log_csv
from tests.hosts import TinyHost, settings, train


def test_the_rows_up_to_a_state_are_on_the_disk_before_it(tmp_path, images, monkeypatch):
    """rows[step]: those that were on the disk when the state of that step took its place."""
    host, rows, synced, replace = TinyHost(tmp_path / "data"), {}, [0], os.replace
    log = host.folder("sdtune") / "runs" / "ron" / "log.csv"

    def sync(handle):
        if log.exists() and os.fstat(handle).st_ino == log.stat().st_ino:
            synced[0] = max(row["step"] for row in log_csv.read(log))

    def replaced(source, target):
        if target.parent.name == "state":
            rows[target.name] = synced[0]
        replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replaced)
    train(host, settings(images))
    assert rows == {f"step{step:08d}.safetensors": step for step in (2, 4, 6)}
