"""Two programs never train one run at once; a lock whose owner was killed is free."""

import errno
import json
import os
import subprocess
import sys

import pytest

from lib_sdtune.errors import NameTaken, RunError
from lib_sdtune.training import replaced_run, run_lock
from lib_sdtune.training.runs import folder_of
from tests.hosts import TinyHost, pictures, settings, train

OWNER = """
import pathlib, sys, time
from lib_sdtune.training import run_lock
run_lock.acquire(pathlib.Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


@pytest.fixture
def owner(tmp_path):
    """Another process that holds the lock of tmp_path/sdtune/runs/ron."""
    folder = folder_of(TinyHost(tmp_path), "ron")
    folder.mkdir(parents=True)
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()


def test_a_run_that_another_program_trains_is_refused_and_left_alone(tmp_path, owner):
    host = TinyHost(tmp_path)
    folder = folder_of(host, "ron")
    (folder / "log.csv").write_text("theirs")
    config = settings(pictures(tmp_path / "10_ron"), overwrite=True)
    with pytest.raises(NameTaken, match=f"process {owner.pid} on "):
        train(host, config)
    assert (folder / "log.csv").read_text() == "theirs" and not (folder / "config.json").exists()


def test_a_killed_owner_holds_nothing(tmp_path, owner):
    owner.kill()
    owner.wait()
    assert train(TinyHost(tmp_path), settings(pictures(tmp_path / "10_ron"))).artefacts


def test_an_ended_run_is_free_for_another_program(tmp_path):
    host = TinyHost(tmp_path)
    train(host, settings(pictures(tmp_path / "10_ron")))
    folder = folder_of(host, "ron")
    code = "import pathlib, sys; from lib_sdtune.training import run_lock; run_lock.acquire(pathlib.Path(sys.argv[1]))"
    assert subprocess.run([sys.executable, "-c", code, str(folder)]).returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="its locks are another function's")
def test_a_disk_without_locks_is_told_once_and_trained_on(tmp_path, monkeypatch, caplog):
    def no_locks(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(run_lock.fcntl, "flock", no_locks)
    host, images = TinyHost(tmp_path), pictures(tmp_path / "10_ron", 1)
    for name in ("ron", "eva"):
        assert train(host, settings(images, name, train={"max_train_steps": 1})).artefacts
    assert caplog.text.count("cannot lock files (No locks available)") == 1


def test_the_lock_names_its_owner(tmp_path):
    run_lock.acquire(tmp_path)
    try:
        assert json.loads((tmp_path / run_lock.NAME).read_text())["pid"] == os.getpid()
    finally:
        run_lock.release(tmp_path)


def test_a_lock_that_the_disk_refuses_is_told_in_a_sentence(tmp_path, monkeypatch):
    def read_only(path, *how, **more):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(run_lock, "open", read_only, raising=False)
    before = dict(run_lock._files), run_lock._between_runs.copy()
    with pytest.raises(RunError, match=r"lock.json could not be written to .*: Read-only file system"), run_lock.taken(tmp_path):
        pass
    assert (dict(run_lock._files), run_lock._between_runs) == before
    (tmp_path / replaced_run.FOLDER).mkdir()
    replaced_run.recover(tmp_path)  # as runs are listed: not now, then
