"""Starting a run anew takes nothing from the earlier one before the new one can be resumed itself."""

import json

import pytest

from lib_sdtune.errors import TooLittleMemory
from lib_sdtune.training import refusals, replaced, runs, state
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


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock.json"}


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
    waiting = tmp_path / replaced.FOLDER
    waiting.mkdir()
    (waiting / "status.json").write_text('{"state": "finished", "message": ""}')
    replace, messages = replaced.replace_when_free, []

    def renamed(path, target):
        replace(path, target)
        messages.append(json.loads((tmp_path / "status.json").read_text())["message"])

    monkeypatch.setattr(replaced, "replace_when_free", renamed)
    replaced.put_back(tmp_path, "No room.")
    assert ["No room." in message for message in messages] == [True]


def test_the_earlier_run_goes_with_the_first_state_of_the_new_one(stopped):
    host, config, folder = stopped
    seen = []
    train(host, {**config, "overwrite": True},
          watch=lambda control: seen.append((control.step, (folder / replaced.FOLDER).exists(), state.newest(folder) is None)))
    assert (0, True, True) in seen and (4, False, False) in seen
    assert not (folder / replaced.FOLDER).exists()


def test_a_start_that_was_killed_before_its_first_state_keeps_the_earlier_run(stopped):
    host, config, folder = stopped
    runs.begin(runs.Config.from_dict({**config, "overwrite": True}), host)  # killed: never closed
    waiting = content(folder / replaced.FOLDER)
    control = runs.begin(runs.Config.from_dict({**config, "overwrite": True}), host)
    assert content(folder / replaced.FOLDER) == waiting and state.newest(folder) is None
    control.set_state("stopped", "Stopped before it began.")
    control.close()
    assert state.newest(folder) is not None


def test_an_earlier_run_without_a_state_goes_at_once(tmp_path):
    host, config = TinyHost(tmp_path), settings(pictures(tmp_path / "10_ron"))
    folder = folder_of(host, "ron")
    (folder / "samples").mkdir(parents=True)
    runs.begin(runs.Config.from_dict(config), host).close()
    assert not (folder / "samples").exists() and not (folder / replaced.FOLDER).exists()
