"""Runs that end by themselves: when, with which file, and that a resumed one ends alike."""

import math

import pytest

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.methods import registry
from lib_sdtune.sections.train import TrainConfig
from lib_sdtune.training import automatic_length
from lib_sdtune.training.automatic_length import AutomaticLength, stalled
from lib_sdtune.training.runs import RunFolder
from tests.hosts import TinyHost, pictures, resumed, settings, train


def curve(*losses):
    return [(10 * number, loss) for number, loss in enumerate(losses, 1)]


def test_a_loss_that_falls_goes_on():
    assert stalled(curve(*(0.9**number for number in range(30)))) is None


def test_three_measurements_without_improvement_end_it():
    assert stalled(curve(1.0, 0.5, 0.4, 0.41, 0.4, 0.42)) == 60


def test_a_trembling_that_is_small_against_the_fall_is_no_improvement():
    assert stalled(curve(1.0, 0.5, 0.4, 0.399, 0.398, 0.397)) == 60
    assert stalled(curve(1.0, 0.5, 0.4, 0.38, 0.36, 0.34)) is None


def test_a_loss_that_never_falls_ends_it_too():
    assert stalled(curve(1.0, 1.1, 1.2, 1.3)) == 40


def test_a_loss_that_overflows_is_no_improvement_and_never_the_best(tmp_path):
    assert stalled(curve(1.0, 0.5, math.inf, math.inf, math.inf)) == 50
    length = AutomaticLength(TrainConfig(stop="auto"), tmp_path, 100)
    rows = [{"step": step, "fit_loss": loss} for step, loss in curve(1.0, 0.5, math.inf)]
    assert [length.is_best(rows[:count]) for count in (1, 2, 3)] == [True, True, False]
    assert not length.is_best(rows[2:])


def test_nothing_measured_goes_on():
    assert stalled([]) is None


def automatic(tmp_path, **changes):
    """Settings of a run that measures at every second step and ends at its fourth measurement."""
    images = pictures(tmp_path / "1_ron")
    return settings(images, train={"max_train_steps": 40, "stop": "auto"} | changes.pop("train", {}),
                    validation={"every_n_steps": 2}, **changes)


@pytest.fixture
def impatient(monkeypatch):
    """Nothing counts as an improvement, so that every run ends at step 8."""
    monkeypatch.setattr(automatic_length, "MIN_IMPROVEMENT", 10.0)


def test_it_ends_before_the_longest(tmp_path, impatient):
    control = train(TinyHost(tmp_path / "data"), automatic(tmp_path))
    steps = [row["step"] for row in RunFolder(control.folder).log()]
    assert control.state == "finished" and steps[-1] == control.step == control.total_steps < 40
    assert "Ended by itself at step" in control.message


def test_a_resumed_run_ends_at_the_same_step_with_the_same_file(tmp_path, impatient):
    whole, broken = resumed(tmp_path, automatic(tmp_path))
    files = [(host.folder("lora") / "ron.safetensors").read_bytes() for host in (whole, broken)]
    assert files[0] == files[1]


def test_a_finished_run_that_is_resumed_has_nothing_left_to_do(tmp_path, impatient):
    host, config = TinyHost(tmp_path / "data"), automatic(tmp_path)
    steps = train(host, config).step
    assert train(host, config | {"overwrite": True}, resume=True).step == steps


@pytest.mark.parametrize("method", registry.names())
def test_the_file_is_that_of_the_best_step(method, tmp_path, monkeypatch):
    changes = {"textual_inversion": {"token": "cat", "init_text": "cat", "lr": 0.05}}
    config = automatic(tmp_path, method=method, **{key: value for key, value in changes.items() if key == method})
    losses = iter([0.5, 0.3, 0.6, 0.7, 0.8, 0.9])
    monkeypatch.setattr("lib_sdtune.training.validation.Validation.measure_if_due", lambda self, step: (
        {"fit_loss": next(losses)} if self.is_due(step) else {}))
    control = train(TinyHost(tmp_path / "data"), config)
    assert control.step == 10
    best = control.folder / "best.safetensors"
    if not registry[method].goes_back:
        assert not best.exists() and "The file" not in control.message
        return
    assert safetensors.Stored(best).metadata["step"] == "4" and "The file is that of step 4" in control.message


def test_the_best_steps_values_are_in_the_file(tmp_path, monkeypatch):
    losses = iter([0.5, 0.3, 0.6, 0.7, 0.8, 0.9])
    monkeypatch.setattr("lib_sdtune.training.validation.Validation.measure_if_due", lambda self, step: (
        {"fit_loss": next(losses)} if self.is_due(step) else {}))
    host, short = TinyHost(tmp_path / "data"), TinyHost(tmp_path / "short")
    config = automatic(tmp_path)
    train(host, config)
    train(short, config | {"train": {"max_train_steps": 4}, "validation": {}})
    written, expected = (safetensors.Stored(each.folder("lora") / "ron.safetensors") for each in (host, short))
    assert written.metadata["ss_steps"] == expected.metadata["ss_steps"] == "4"
    assert all(written[name].equal(expected[name]) for name in expected)


@pytest.mark.parametrize("foreign", [{"step": "4", "loss": "0.2"}, {"step": "3", "loss": "0.3"}, {"step": "3"}])
def test_values_of_another_run_are_left_aside(tmp_path, monkeypatch, caplog, foreign):
    losses = iter([0.5, 0.3, 0.6, 0.7, 0.8, 0.9])
    monkeypatch.setattr("lib_sdtune.training.validation.Validation.measure_if_due", lambda self, step: (
        {"fit_loss": next(losses)} if self.is_due(step) else {}))
    host = TinyHost(tmp_path / "data")

    def swap(control):
        if control.state == "training" and control.step == 6:
            best = control.folder / "best.safetensors"
            safetensors.write(best, dict(safetensors.Stored(best).items()), foreign)

    control = train(host, automatic(tmp_path), watch=swap)
    assert safetensors.Stored(host.folder("lora") / "ron.safetensors").metadata["ss_steps"] == "10" == str(control.step)
    assert "of no step that this run has measured" in caplog.text and "The file is that of step" not in control.message


def test_the_rate_falls_before_the_end(tmp_path, impatient):
    config = automatic(tmp_path, train={"lr_scheduler": "warmup_stable_decay", "lr_decay_steps": 4})
    rows = RunFolder(train(TinyHost(tmp_path / "data"), config).folder).log()
    rates = [row["lr"] for row in rows]
    assert len(set(rates[:-4])) == 1 and rates[-4:] == sorted(rates[-4:], reverse=True) and rates[-1] < rates[0] / 2


def test_without_a_number_of_steps_pictures_and_method_set_the_most(tmp_path, impatient):
    config = automatic(tmp_path, train={"max_train_steps": 0})
    seen = []
    train(TinyHost(tmp_path / "data"), config, watch=lambda control: seen.append(control.total_steps))
    assert Config.from_dict(config).settings.examples_for(3) in seen


def test_no_steps_at_all_are_refused_where_nothing_ends_the_run(tmp_path):
    with pytest.raises(UserError, match='"train.stop" to "auto"'):
        Config.from_dict(settings(tmp_path, train={"max_train_steps": 0}))


def test_a_run_that_is_stopped_by_hand_leaves_what_it_has(tmp_path, monkeypatch):
    losses = iter([0.3, 0.5, 0.6, 0.7, 0.8])
    monkeypatch.setattr("lib_sdtune.training.validation.Validation.measure_if_due", lambda self, step: (
        {"fit_loss": next(losses)} if self.is_due(step) else {}))

    def stop_at_five(control):
        if control.state == "training" and control.step == 5:
            control.request("stop")

    host = TinyHost(tmp_path / "data")
    train(host, automatic(tmp_path), watch=stop_at_five)
    assert safetensors.Stored(host.folder("lora") / "ron.safetensors").metadata["ss_steps"] == "5"


def test_a_run_that_ended_by_itself_may_go_on(tmp_path, impatient):
    host, config = TinyHost(tmp_path / "data"), automatic(tmp_path, train={"max_train_steps": 12}) | {"validation": {}}
    steps = train(host, config).step
    longer = config | {"overwrite": True, "train": {"max_train_steps": 12, "stop": "steps"}}
    assert steps < train(host, longer, resume=True).step == 12
