"""Samples that a run draws by itself: when, of what, and within which share of its time."""

import json

import pytest

from lib_sdtune.config import Config
from lib_sdtune.data.loader import Dataset
from lib_sdtune.data.scan import scan
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.sections.sample import SampleConfig
from lib_sdtune.training.control import Control
from lib_sdtune.training.runs import folder_of
from lib_sdtune.training.sample_requests import cost_in_steps, sample_requests
from lib_sdtune.training.sample_times import MAX_SHARE, SampleTimes
from lib_sdtune.training.step_result import Step
from lib_sdtune.training.time_spent import TimeSpent
from tests.hosts import TinyHost, pictures, settings, train

SMALL = {"steps": 1, "width": 64, "height": 64}  # six passes of a quarter of the size: half a step
METHODS = {"lora": {}, "dreambooth": {"dreambooth": {"unet_lr": 1e-4}}, "textual_inversion": {}, "hypernetwork": {}}


def step(number, total=100):
    return Step(number, 1, False, number == total, 0.0, 0.0, 0.0, 0)


def drawn(total, seconds_per_step, seconds_per_round, round_in_steps):
    """(steps at which a run of such costs draws, the seconds that it spends on that)"""
    times, numbers, spent, latest = SampleTimes(SampleConfig(), total, round_in_steps), [], 0.0, None
    for number in range(total + 1):
        if times.is_due(step(number, total), seconds_per_step if number else None, latest, spent):
            numbers, latest, spent = [*numbers, number], seconds_per_round, spent + seconds_per_round
    return numbers, spent


@pytest.mark.parametrize(("round_in_steps", "numbers"), [
    (1, [*range(0, 1001, 100)]), (16, [*range(0, 1001, 100)]), (17, [*range(0, 801, 100), 1000]),
    (50, [0, 500, 1000]), (100, [1000]), (200, [])])
def test_every_tenth_of_the_run_or_as_many_of_them_as_there_is_time_for(round_in_steps, numbers):
    assert drawn(1000, 0.1, 0.1 * round_in_steps, round_in_steps)[0] == numbers


@pytest.mark.parametrize("total", [10, 300, 1500])
@pytest.mark.parametrize("measured", [0.5, 1, 2, 5])
@pytest.mark.parametrize("round_in_steps", [0.2, 3, 14, 40])
def test_samples_never_take_more_than_their_share(total, measured, round_in_steps):
    numbers, spent = drawn(total, 1.0, measured * round_in_steps, round_in_steps)
    assert spent <= MAX_SHARE * (total + spent) or len(numbers) == 1  # the first is drawn before any is measured


@pytest.mark.parametrize("rounds", range(2, 12))
def test_the_tenths_lie_evenly_and_sooner_rather_than_later(rounds):
    numbers = drawn(1000, 1.0, 1000 * 15 / 85 / rounds - 0.01, 1000 * 15 / 85 / rounds - 0.01)[0]
    gaps = [later - earlier for earlier, later in zip(numbers, numbers[1:], strict=False)]
    assert len(numbers) == rounds and numbers[0] == 0 and numbers[-1] == 1000
    assert max(gaps) - min(gaps) <= 100 and gaps == sorted(gaps)


def test_what_was_asked_for_by_hand_takes_nothing_of_the_share(tmp_path, monkeypatch):
    add, seconds = TimeSpent.add, {"training": 1.0, "samples": 0.5}
    monkeypatch.setattr(TimeSpent, "add", lambda time, what, _: add(time, what, seconds.get(what, 0.0)))
    monkeypatch.setattr(Control, "pace", lambda control: 1.0)

    def ask(control):
        if control.state == "training" and control.step % 10 in (2, 3, 4) and asked[-1] != control.step:
            asked.append(control.step)
            control.request("sample")

    host, asked = TinyHost(tmp_path / "data"), [0]
    control = train(host, settings(pictures(tmp_path / "pics"), sample=SMALL, train={"max_train_steps": 60}), watch=ask)
    drawn_at = {int(path.split("step")[-1][:8]) for path in control.samples}
    assert {*range(0, 61, 6)} <= drawn_at and len(asked) > 15
    assert "samples_note" not in control.snapshot()


def test_it_is_said_once_where_tenths_are_left_out(tmp_path, monkeypatch, caplog):
    add, seconds = TimeSpent.add, {"training": 1.0, "samples": 2.0}
    monkeypatch.setattr(TimeSpent, "add", lambda time, what, _: add(time, what, seconds.get(what, 0.0)))
    monkeypatch.setattr(Control, "pace", lambda control: 1.0)
    host = TinyHost(tmp_path / "data")
    caplog.set_level("INFO")
    control = train(host, settings(pictures(tmp_path / "pics"), sample=SMALL, train={"max_train_steps": 60}))
    note = "Samples are drawn at fewer than every tenth of the run, because all of them would take more than 15 % of the time."
    assert control.snapshot()["samples_note"] == note and caplog.messages.count(note) == 1
    assert note in (folder_of(host, "ron") / "run.log").read_text()


@pytest.mark.parametrize(("sample", "numbers"), [
    ({"every_n_steps": 0}, []), ({"every_n_steps": 40}, [40, 80]), ({"every_n_epochs": 1}, [])])
def test_what_a_person_asks_for_is_done_whatever_it_costs(sample, numbers):
    times = SampleTimes(SampleConfig(**sample), 100, 1000.0)
    assert [n for n in range(101) if times.is_due(step(n), 1.0, 1000.0, 10**6)] == numbers


@pytest.mark.parametrize("method", METHODS)
def test_a_run_of_which_nobody_said_anything_shows_itself(tmp_path, monkeypatch, method):
    monkeypatch.setattr(Control, "pace", lambda control: None)  # as long as nothing is measured the arithmetic counts
    host = TinyHost(tmp_path / "data")
    images = pictures(tmp_path / "10_ron")
    control = train(host, settings(images, method=method, sample=SMALL, **{"train": {"max_train_steps": 10}} | METHODS[method]))
    files = [path.name for path in sorted((folder_of(host, "ron") / "samples").iterdir())]
    assert files == [f"step{number:08d}-00.png" for number in (0, 5, 10)]
    assert control.snapshot()["sample_prompts"] == [host.asked[0].prompt] and host.asked[0].prompt


def test_the_same_file_comes_of_it_with_and_without(tmp_path, monkeypatch):
    monkeypatch.setattr(Control, "pace", lambda control: None)
    images, files = pictures(tmp_path / "10_ron"), []
    for every in ("auto", 0):
        host = TinyHost(tmp_path / f"data-{every}")
        control = train(host, settings(images, sample=SMALL | {"every_n_steps": every}, train={"max_train_steps": 10}))
        files.append((host.folder("lora") / "ron.safetensors").read_bytes())
        assert len(control.samples) == (3 if every == "auto" else 0)
    without_metadata = [file[8 + int.from_bytes(file[:8], "little"):] for file in files]
    assert without_metadata[0] == without_metadata[1]


def test_a_card_never_shows_the_untrained_model(tmp_path):
    host = TinyHost(tmp_path / "data")

    def stop(control):
        if control.state == "training" and control.step == 3:
            control.request("stop")

    train(host, settings(pictures(tmp_path / "10_ron"), sample=SMALL, train={"max_train_steps": 1000}), watch=stop)
    assert (folder_of(host, "ron") / "samples" / "step00000000-00.png").exists()
    assert not (host.folder("lora") / "ron.preview.png").exists()


def test_prompts_are_made_of_trigger_words_and_captions(tmp_path):
    own, other = pictures(tmp_path / "ron", 2), pictures(tmp_path / "cup", 1, seed=1)
    # a caption is drawn as it stands, but asks for no file
    (own / "0.txt").write_text("ron cat on snow --w 8 <lora:none:1>", encoding="utf-8")
    concepts = [{"images": str(own), "prompt": "a photo of ron cat"}, {"images": str(other), "prompt": "my cup"}]

    def prompts(steps, **sample):
        config = Config.from_dict(settings(own, train={"max_train_steps": steps}, sample=sample) | {"concepts": concepts})
        dataset = Dataset(scan(config.concepts, config.dataset, config.loss, tmp_path), config)
        return [request.prompt for request in sample_requests(config, dataset)]

    assert prompts(10**5) == ["a photo of ron cat", "my cup", "ron cat on snow --w 8", "a cat, number 0"]
    assert prompts(1500) == ["a photo of ron cat"] and prompts(10**5, every_n_steps=5) == ["a photo of ron cat"]
    assert prompts(1500, prompts=["# none", "a hat --s 3", "a dog"]) == ["a hat", "a dog"]


def test_a_resolution_that_no_picture_can_have_is_drawn_smaller():
    config = Config.from_dict({"name": "ron", "concepts": [{"images": "pics"}], "dataset": {"resolution": 500}, "sample": {"prompts": ["a"]}})
    assert [(request.width, request.height) for request in sample_requests(config, None)] == [(496, 496)]


def test_a_picture_is_counted_in_steps_before_any_is_measured():
    config = Config.from_dict({"name": "ron", "concepts": [{"images": "pics"}], "train": {"batch_size": 2}})
    assert cost_in_steps(config, [SampleRequest("a", steps=20)]) == pytest.approx(44 / 3 / 2)
    assert cost_in_steps(config, [SampleRequest("a", steps=20, cfg_scale=1, width=256)]) == pytest.approx(24 / 3 / 4)


@pytest.mark.parametrize("every", [0, 25])
def test_earlier_settings_mean_what_they_meant(every):
    config = Config.from_dict({"name": "ron", "concepts": [{"images": "pics"}], "sample": {"every_n_steps": every}})
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))).sample.every_n_steps == every


@pytest.mark.parametrize("slow", [2, 4])
def test_a_whole_run_keeps_the_share_by_what_its_own_rounds_took(tmp_path, monkeypatch, slow):
    """Counted, a round of these costs half a step; the machine takes `slow` of them."""
    add, seconds = TimeSpent.add, {"training": 1.0, "samples": slow}
    monkeypatch.setattr(TimeSpent, "add", lambda time, what, _: add(time, what, seconds.get(what, 0.0)))
    monkeypatch.setattr(Control, "pace", lambda control: 1.0)
    host = TinyHost(tmp_path / "data")
    control = train(host, settings(pictures(tmp_path / "pics"), sample=SMALL, train={"max_train_steps": 60}))
    rounds = control.time.times["samples"]
    assert control.time.shares()["samples"] <= 100 * MAX_SHARE and rounds == {2: 5, 4: 2}[slow]


def test_the_end_is_drawn_although_steps_became_quicker_on_the_way():
    times, numbers = SampleTimes(SampleConfig(), 450, 5.0), []
    for number in range(451):
        seconds_per_step = (2.0 if number < 300 else 0.9) if number else None
        if times.is_due(step(number, 450), seconds_per_step, 12.0 if numbers else None, 12.0 * len(numbers)):
            numbers.append(number)
    assert numbers[:3] == [0, 45, 90] and numbers[-1] == 450
