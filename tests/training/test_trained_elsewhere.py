"""A run that another process trains is told as such, and nothing takes its folder or files away meanwhile."""

import shutil
import subprocess
import sys

import pytest

from lib_sdtune.app import App
from lib_sdtune.errors import NameTaken, WrongState
from lib_sdtune.evaluation import publish
from lib_sdtune.evaluation.evaluation import Evaluation
from lib_sdtune.evaluation.settings import EvaluationSettings
from lib_sdtune.formats.files import read_json, write_json
from lib_sdtune.services.task import Task
from lib_sdtune.training import deletion, run_lock
from lib_sdtune.training.runs import RunFolder
from tests.hosts import Config, TinyHost, begin, pictures, settings, train
from tests.training.test_run_lock import OWNER


@pytest.fixture
def host(tmp_path):
    return TinyHost(tmp_path / "data")


@pytest.fixture
def run_settings(tmp_path):
    return settings(pictures(tmp_path / "10_ron"), train={"max_train_steps": 2}, save={"every_n_steps": 1, "state_every_n_steps": 1})


@pytest.fixture
def folder(host, run_settings):
    """An ended run's, with two files."""
    return train(host, run_settings).folder


@pytest.fixture
def elsewhere(folder):
    """Another process that has the run folder, and says that it trains."""
    write_json(folder / "status.json", read_json(folder / "status.json") | {"state": "training", "step": 1})
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()


def files_below(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


def test_who_trains_a_run_is_told_and_it_is_not_offered_for_resuming(host, elsewhere):
    jobs = App(lambda: host).jobs
    status = jobs.status("ron")
    assert status["state"] == "training" and status["step"] == 1 and not status["resumable"]
    assert f"Another program trains this run (process {elsewhere.pid} on " in status["message"]
    for action in ("pause", "stop", "resume", "sample"):
        with pytest.raises(WrongState, match=f"process {elsewhere.pid} on |cannot"):
            jobs.request("ron", action)
    with pytest.raises(WrongState, match=f"Another program trains this run .process {elsewhere.pid} on "):
        jobs.request("ron", "resume")
    elsewhere.kill()
    elsewhere.wait()
    assert jobs.status("ron")["state"] == "stopped" and jobs.status("ron")["resumable"]


def test_nothing_of_it_is_deleted_published_or_compared(host, folder, elsewhere):
    app, before = App(lambda: host), files_below(host.data_dir)
    with pytest.raises(NameTaken, match="trained by another program"):
        app.delete("ron")
    with pytest.raises(WrongState, match="trained by another program"):
        app.jobs.ended("ron")
    run = app.jobs.folder("ron")
    with pytest.raises(NameTaken, match="trained by another program"):
        publish.publish(host, run, "ron-step00000001")
    assert files_below(host.data_dir) == before


def test_what_was_published_is_not_taken_back_under_it(host, folder):
    run = App(lambda: host).jobs.folder("ron")
    publish.publish(host, run, "ron-step00000001")
    before = files_below(host.data_dir)
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    try:
        with pytest.raises(NameTaken, match="trained by another program"):
            publish.undo(host, run)
    finally:
        process.kill()
        process.wait()
    assert files_below(host.data_dir) == before
    assert publish.undo(host, run)["files"]


def test_asking_for_the_holder_keeps_nobody_out(folder):
    assert run_lock.holder(folder) is None
    with run_lock.taken(folder):
        assert run_lock.holder(folder) is None  # it is this process


def test_a_run_does_not_begin_while_its_files_are_moved(host, folder, run_settings):
    with run_lock.taken(folder), pytest.raises(NameTaken, match="moved or deleted just now"):
        begin(Config.from_dict(run_settings | {"overwrite": True}), host)
    begin(Config.from_dict(run_settings | {"overwrite": True}), host).close()


def test_its_files_are_not_compared_by_whoever_opened_it_before(host, folder):
    run = RunFolder(folder)
    evaluation = Evaluation(host, run, EvaluationSettings(prompts=["a cat"]))
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    try:
        with pytest.raises(NameTaken, match=f"trained by another program .process {process.pid} on "):
            evaluation.make()
    finally:
        process.kill()
        process.wait()
    assert not (folder / "choose").exists()


def test_a_run_does_not_begin_while_its_files_are_compared(host, folder, run_settings):
    code = OWNER.replace("acquire(pathlib.Path(sys.argv[1]))", "acquire(pathlib.Path(sys.argv[1]), run_lock.COMPARING)")
    write_json(folder / "status.json", read_json(folder / "status.json") | {"state": "training", "step": 1})
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    try:
        with pytest.raises(NameTaken, match=f"are being compared by another program .process {process.pid} on "):
            begin(Config.from_dict(run_settings), host, resume=True)
        assert App(lambda: host).jobs.status("ron")["state"] == "stopped"  # nobody trains it
    finally:
        process.kill()
        process.wait()
    with run_lock.taken(folder, run_lock.COMPARING), pytest.raises(NameTaken, match="are being compared; wait"):
        begin(Config.from_dict(run_settings), host, resume=True)


def test_a_run_whose_files_are_being_compared_is_not_deleted(host, folder):
    app = App(lambda: host)
    task = app.evaluation.tasks[folder] = Task("")
    assert task.live
    with pytest.raises(WrongState, match="are being compared"):
        app.delete("ron")
    assert folder.exists()
    task.run(lambda progress: None)
    app.delete("ron")
    assert not folder.exists() and folder not in app.evaluation.tasks


def test_a_folder_that_cannot_be_emptied_is_still_a_runs(host, folder, monkeypatch):
    def open_elsewhere(path):
        if path.name == "log.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return remove(path)

    remove = deletion.remove_path
    monkeypatch.setattr(deletion, "remove_path", open_elsewhere)
    app = App(lambda: host)
    with pytest.raises(deletion.RunError, match="log.csv: Permission denied. Close the program"):
        app.delete("ron")
    assert app.jobs.status("ron")["state"] == "finished"
    monkeypatch.undo()
    app.delete("ron")
    assert not folder.exists()


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_that_has_no_state_yet_is_told_to_be_trained_elsewhere(host, run_settings, folder, elsewhere, resume):
    shutil.rmtree(folder / "state")
    for path in host.folder("lora").iterdir():
        path.unlink()
    with pytest.raises(NameTaken, match=f"trained by another program .process {elsewhere.pid} on "):
        begin(Config.from_dict(run_settings), host, resume)
