"""How long a run takes, from what is due and what was measured."""

import pytest

from lib_sdtune.config import Config
from lib_sdtune.training.control import Control
from lib_sdtune.training.duration import Conditions, Measured, due_after, step_time


def config(**changes):
    return Config.from_dict({"name": "ron", "concepts": [{"images": "p"}], **changes})


def test_what_is_due_is_counted_as_the_run_does_it():
    settings = config(sample={"every_n_steps": 10, "every_n_epochs": 1}, save={"every_n_steps": 50, "state_every_n_steps": 25})
    due = due_after(settings, 0, 100, steps_per_epoch=8, validates=True)
    assert due["samples"] == len({*range(10, 101, 10), *range(8, 101, 8)})
    assert due["validation"] == 100 // 8 + 1 and due["saving"] == 2 + 4 + 1
    assert due_after(settings, 99, 100, 8, False) == {"samples": 1, "validation": 0, "saving": 3}


def test_time_left_counts_what_is_due_between_the_steps(tmp_path):
    control = Control(config(), tmp_path / "gone")
    control.begin(0, 100, 1, lambda step: {"samples": 3, "validation": 5})
    control.step, control.seconds = 40, [2.0]
    assert control.snapshot()["eta_seconds"] == 120
    control.time.add("samples", 8.0)
    control.time.add("samples", 12.0)
    assert control.snapshot()["eta_seconds"] == 120 + 3 * 10


def measured(run, method="lora", pixels=100.0, seconds=1.0, family="SD1", options=(), when=0.0):
    return Measured(run, Conditions(method, family, pixels, options), seconds, when)


def test_a_step_s_time_is_scaled_by_its_pixels_and_surer_the_more_alike_it_was():
    earlier = [measured("old", seconds=9.0, when=1), measured("same", when=2), measured("large", pixels=400.0, seconds=4.0, when=3),
               measured("other", method="dreambooth", when=4), measured("xl", family="SDXL", when=5)]
    same = step_time(Conditions("lora", "SD1", 100.0), earlier)
    assert (same.measured.run, same.seconds, same.ratio) == ("same", 1.0, 1.0)
    larger = step_time(Conditions("lora", "SD1", 800.0), earlier)
    assert (larger.measured.run, larger.seconds) == ("large", 8.0)
    other = step_time(Conditions("textual_inversion", "SD1", 100.0), earlier)
    assert not other.same_method
    width = [step.high / step.low for step in (same, larger, other)]
    assert width == sorted(width)


def test_another_family_says_nothing():
    assert step_time(Conditions("lora", "SDXL", 100.0), [measured("one")]) is None


@pytest.mark.parametrize("elapsed", [0.0, 30.0])
def test_the_whole_time_counts_earlier_tries(tmp_path, elapsed):
    control = Control(config(), tmp_path / "gone")
    control.time.earlier = elapsed
    control.close()
    assert control.snapshot()["elapsed_seconds"] == elapsed
