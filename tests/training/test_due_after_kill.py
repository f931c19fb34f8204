"""What was due at the step of the resume point is made on resume when the run was killed, or the disk was full, in between."""

import pytest

from lib_sdtune.errors import DiskFull
from lib_sdtune.training.results import Results
from lib_sdtune.training.runs import folder_of
from tests.hosts import TinyHost, pictures, settings, train

DUE = {"save": {"state_every_n_steps": 2, "every_n_steps": 2}, "sample": {"every_n_steps": 2, "prompts": ["a cat", "a dog"], "steps": 2}}


class Killed(BaseException):
    """As a power cut: nothing that comes after it is run by the test."""


def files(host):
    folders = (host.folder("lora"), folder_of(host, "ron") / "samples")
    return {path.name: path.read_bytes() for folder in folders if folder.exists() for path in folder.iterdir() if path.suffix in (".safetensors", ".png")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(CONFIG, the files of a run to which nothing happened)"""
    place = tmp_path_factory.mktemp("whole")
    config, host = settings(pictures(place / "10_ron"), **DUE), TinyHost(place / "data")
    train(host, config)
    return config, files(host)


@pytest.mark.parametrize("verb", ["sample", "save"])
@pytest.mark.parametrize("step", [2, 4, 6])
def test_killed_between_the_state_and_what_was_due(tmp_path, monkeypatch, verb, step, whole):
    config, expected = whole
    killed = TinyHost(tmp_path / "killed")
    original = getattr(Results, verb)

    def kill(results, place, number, *rest):
        if number == step:
            raise Killed
        return original(results, place, number, *rest)

    monkeypatch.setattr(Results, verb, kill)
    if (verb, step) == ("save", 6):  # the last step saves the final file alone
        train(killed, config)
    else:
        with pytest.raises(Killed):
            train(killed, config)
        monkeypatch.undo()
        train(killed, config, resume=True)
    assert files(killed) == expected


@pytest.mark.parametrize("verb", ["sample", "save"])
def test_a_disk_that_was_full_for_a_while_costs_no_file(tmp_path, monkeypatch, verb, whole):
    config, expected = whole
    full = TinyHost(tmp_path / "full")
    original, failures = getattr(Results, verb), []

    def refuse(results, place, number, *rest):
        if number == 4 and not failures:
            failures.append(number)
            raise DiskFull("The disk is full.")
        return original(results, place, number, *rest)

    monkeypatch.setattr(Results, verb, refuse)
    control = train(full, config)
    assert failures and control.state == "finished" and files(full) == expected
