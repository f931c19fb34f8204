"""Starting a run anew takes nothing from the earlier one before the new one can be resumed itself."""

import json

import pytest

from lib_sdtune.config import Config
from lib_sdtune.errors import NameTaken, TooLittleMemory, UserError
from lib_sdtune.formats.files import write_json
from lib_sdtune.jobs import Jobs
from lib_sdtune.services.context import ServiceContext
from lib_sdtune.training import refusals, replaced_run, run_lock, runs, state
from lib_sdtune.training.runs import RunFolder, folder_of
from tests.hosts import TinyHost, pictures, settings, train


def stop_at_four(control):
    if control.state == "training" and control.step == 4:
        control.request("stop_without_saving")


@pytest.fixture
def stopped(tmp_path):
    """(host, config, run folder) of a run that was stopped and can be resumed."""
    host, config = TinyHost(tmp_path), settings(pictures(tmp_path / "10_ron"))
    train(host, config, watch=stop_at_four)
    return host, config, folder_of(host, "ron")


def content(folder, without=()):
    """relative path -> bytes of every file but the lock."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and path.name not in ("lock.json", *without)}


def cut_off(host, config):
    """Begin anew, and die before the first state."""
    control = runs.begin(Config.from_dict({**config, "overwrite": True}), host)
    run_lock.release(control.folder)


def locked(name, monkeypatch):
    """From here on a file of that name cannot be moved, as on Windows while a program has it open."""
    replace = replaced_run.replace_when_free

    def replace_unless_locked(path, target):
        if path.name == name:
            raise PermissionError(13, "The process cannot access the file", str(path))
        return replace(path, target)

    monkeypatch.setattr(replaced_run, "replace_when_free", replace_unless_locked)


def test_a_refused_start_leaves_the_earlier_run_as_it_was(stopped, monkeypatch):
    host, config, folder = stopped
    before = content(folder)

    def refuse(*_):
        raise TooLittleMemory("Not even one step would fit.")

    monkeypatch.setattr(refusals, "refuse_too_little_memory", refuse)
    with pytest.raises(TooLittleMemory):
        train(host, {**config, "overwrite": True, "train": {"max_train_steps": 9}})
    after = content(folder)
    message = RunFolder(folder).status()["message"]
    assert "Not even one step would fit." in message and "as it was" in message
    assert {name: data for name, data in after.items() if name != "status.json"} == {
        name: data for name, data in before.items() if name != "status.json"}
    monkeypatch.undo()
    assert train(host, config, resume=True).state == "finished"


def test_an_earlier_run_that_is_back_says_why_at_once(tmp_path, monkeypatch):
    waiting = tmp_path / replaced_run.FOLDER
    waiting.mkdir()
    (waiting / "status.json").write_text('{"state": "finished", "message": ""}')
    replace, messages = replaced_run.replace_when_free, []

    def renamed(path, target):
        replace(path, target)
        if (tmp_path / "status.json").exists():
            messages.append(json.loads((tmp_path / "status.json").read_text())["message"])

    monkeypatch.setattr(replaced_run, "replace_when_free", renamed)
    replaced_run.put_back(tmp_path, "No room.")
    assert ["No room." in message for message in messages] == [True]


def test_the_earlier_run_goes_with_the_first_state_of_the_new_one(stopped):
    host, config, folder = stopped
    seen = []
    train(host, {**config, "overwrite": True},
          watch=lambda control: seen.append((control.step, (folder / replaced_run.FOLDER).exists(), state.newest(folder) is None)))
    assert (0, True, True) in seen and (4, False, False) in seen
    assert not (folder / replaced_run.FOLDER).exists()


def test_a_start_that_was_killed_before_its_first_state_keeps_the_earlier_run(stopped):
    host, config, folder = stopped
    runs.begin(Config.from_dict({**config, "overwrite": True}), host)  # killed: never closed
    waiting = content(folder / replaced_run.FOLDER)
    control = runs.begin(Config.from_dict({**config, "overwrite": True}), host)
    assert content(folder / replaced_run.FOLDER) == waiting and state.newest(folder) is None
    control.set_state("stopped", "Stopped before it began.")
    control.close()
    assert state.newest(folder) is not None


def test_an_earlier_run_without_a_state_goes_at_once(tmp_path):
    host, config = TinyHost(tmp_path), settings(pictures(tmp_path / "10_ron"))
    folder = folder_of(host, "ron")
    (folder / "samples").mkdir(parents=True)
    runs.begin(Config.from_dict(config), host).close()
    assert not any((folder / "samples").iterdir()) and not (folder / replaced_run.FOLDER).exists()


def test_whatever_a_run_leaves_is_put_aside_and_comes_back(stopped):
    host, config, folder = stopped
    left = {"best.safetensors": "best", "words.json": "{}", "notes.txt": "somebody's own", "epochs/ron.json": "{}"}
    for name, text in left.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    before = content(folder, without=["status.json"])

    def stop(control):
        if control.state == "training" and control.step == 1:
            assert not any((folder / name).exists() for name in left)
            (folder / "best.safetensors").write_text("of the other attempt")
            control.request("stop_without_saving")

    train(host, config | {"overwrite": True, "save": {"state_every_n_steps": 0}}, watch=stop)
    assert content(folder, without=["status.json"]) == before


def test_everything_that_a_run_leaves_is_known_as_its_own(tmp_path):
    config = settings(pictures(tmp_path / "10_ron"), train={"stop": "auto"}, validation={"every_n_steps": 2},
                      sample={"every_n_steps": 2, "prompts": ["a cat"]})
    folder = train(TinyHost(tmp_path), config).folder
    assert {path.name for path in folder.iterdir()} <= {*replaced_run.OWN, *replaced_run.STAYS}


def test_what_is_somebodys_own_stays_when_the_earlier_run_goes(stopped):
    host, config, folder = stopped
    (folder / "notes.txt").write_text("somebody's own")
    train(host, {**config, "overwrite": True})
    assert (folder / "notes.txt").read_text() == "somebody's own" and not (folder / replaced_run.FOLDER).exists()


def test_a_file_that_cannot_be_moved_refuses_the_start_and_nothing_is_lost(stopped, monkeypatch):
    host, config, folder = stopped
    before = content(folder)
    with monkeypatch.context() as patch:
        locked("log.csv", patch)
        for _ in range(2):
            with pytest.raises(UserError, match="cannot be put aside.*log.csv cannot be moved.*Close the programs"):
                train(host, {**config, "overwrite": True})
    assert content(folder) == before
    assert train(host, config, resume=True).state == "finished"


def test_a_move_that_was_cut_off_is_undone_when_runs_are_listed(stopped, monkeypatch):
    host, config, folder = stopped
    before = content(folder)
    with monkeypatch.context() as patch:
        locked("run.log", patch)
        patch.setattr(replaced_run, "bring_back", lambda folder: None)  # killed
        with pytest.raises(UserError):
            cut_off(host, config)
    assert content(folder) != before
    assert Jobs(ServiceContext(lambda: host)).status("ron")["resumable"] and content(folder) == before


def test_a_part_that_an_earlier_version_moved_is_put_together_again(stopped):
    host, config, folder = stopped
    before = content(folder, without=["status.json"])
    (folder / replaced_run.FOLDER).mkdir()
    (folder / "state").rename(folder / replaced_run.FOLDER / "state")
    assert [run.resumable() for run in runs.all_runs(host)] == [True]
    assert content(folder, without=["status.json"]) == before


def test_the_earlier_run_is_back_after_the_program_died(stopped):
    host, config, folder = stopped
    before = content(folder, without=["status.json"])
    cut_off(host, config)
    status = Jobs(ServiceContext(lambda: host)).status("ron")
    assert content(folder, without=["status.json"]) == before
    assert status["resumable"] and "The program ended before" in status["message"]


def test_a_run_that_is_being_prepared_is_let_alone_when_runs_are_listed(stopped):
    host, config, folder = stopped
    control = runs.begin(Config.from_dict({**config, "overwrite": True}), host)
    runs.all_runs(host)
    assert (folder / replaced_run.FOLDER).exists()
    control.close()


def test_a_start_without_overwriting_after_the_program_died_drops_nothing(stopped):
    host, config, folder = stopped
    before = content(folder, without=["status.json"])
    cut_off(host, config)
    with pytest.raises(NameTaken, match="can be resumed"):
        train(host, config)
    assert content(folder, without=["status.json"]) == before


def test_putting_back_waits_for_a_file_that_cannot_be_moved(stopped, monkeypatch, caplog):
    host, config, folder = stopped
    before = content(folder, without=["status.json"])
    cut_off(host, config)
    with monkeypatch.context() as patch:
        locked("log.csv", patch)
        runs.all_runs(host)
    assert "could not be put back yet" in caplog.text
    assert [run.resumable() for run in runs.all_runs(host)] == [True]
    assert content(folder, without=["status.json"]) == before


def test_the_message_of_a_run_that_is_back_says_that_the_new_one_was_stopped(stopped):
    host, config, folder = stopped

    def stop(control):
        if control.state == "training" and control.step == 1:
            control.request("stop_without_saving")

    train(host, {**config, "overwrite": True, "save": {"state_every_n_steps": 0}}, watch=stop)
    assert ": It was stopped before it had a resume point. The earlier run" in RunFolder(folder).status()["message"]


@pytest.mark.parametrize(("state_and_files", "name"), [
    ({"state": "finished", "artefacts": ["/elsewhere/ron.safetensors"]}, "log.csv"),
    ({"state": "failed", "artefacts": []}, "samples/step00000002-00.png"), ({"state": "failed"}, "choose/result.json")])
def test_results_of_a_run_without_a_state_go_only_where_overwriting_is_allowed(tmp_path, state_and_files, name):
    host, config = TinyHost(tmp_path), settings(pictures(tmp_path / "10_ron"))
    folder = folder_of(host, "ron")
    (folder / name).parent.mkdir(parents=True)
    write_json(folder / "status.json", state_and_files)
    (folder / name).write_text("step,loss\n1,0.5\n")
    before = content(folder)
    with pytest.raises(NameTaken, match='exists already.*"overwrite" on'):
        runs.begin(Config.from_dict(config), host)
    assert content(folder) == before
    control = runs.begin(Config.from_dict({**config, "overwrite": True}), host)
    control.set_state("failed", "The checkpoint is gone.")
    control.close()
    assert set(content(folder)) == set(before) and (folder / name).read_text() == "step,loss\n1,0.5\n"


def test_a_run_that_failed_before_its_first_state_can_be_tried_again(tmp_path):
    host, config = TinyHost(tmp_path), settings(pictures(tmp_path / "10_ron"))
    folder = folder_of(host, "ron")
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "step00000002-00.png").write_text("")
    write_json(folder / "config.json", Config.from_dict(config).to_dict())
    write_json(folder / "status.json", {"state": "failed", "message": "No memory.", "artefacts": []})
    control = runs.begin(Config.from_dict(config), host, restart=True)
    assert control.state == "queued"
    control.close()


def test_a_run_that_came_to_nothing_is_begun_anew_without_asking(tmp_path):
    host, config = TinyHost(tmp_path), settings(pictures(tmp_path / "10_ron"))
    folder = folder_of(host, "ron")
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "step00000000-00.png").write_text("")
    (folder / "log.csv").write_text("step,loss\n1,0.5\n")
    write_json(folder / "status.json", {"state": "stopped", "artefacts": []})
    runs.begin(Config.from_dict(config), host).close()
    assert not any((folder / "samples").iterdir()) and not (folder / replaced_run.FOLDER).exists()
