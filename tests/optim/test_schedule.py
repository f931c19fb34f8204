import math

import pytest

from lib_sdtune.errors import UserError
from lib_sdtune.optim import schedule, schedules


def test_warmup_rises_to_the_full_rate():
    ramp = [schedule.factor(step, 100, "cosine", warmup=10) for step in range(11)]
    assert ramp == pytest.approx([0.1 * step for step in range(11)]), "from 0, as in sd-scripts"


@pytest.mark.parametrize("name", schedules.SCHEDULES)
def test_all_but_a_constant_rate_rise_to_it(name):
    factors = [schedule.factor(step, 100, name, warmup=10) for step in (0, 5, 10)]
    assert factors == pytest.approx([1, 1, 1] if name == "constant" else [0, 0.5, 1])


@pytest.mark.parametrize("name, middle, end", [("linear", 0.5, 0), ("cosine", 0.5, 0), ("polynomial", 0.5, 0), ("constant", 1, 1),
                                               ("constant_with_warmup", 1, 1), ("cosine_with_restarts", 0.5, 0)])
def test_shapes(name, middle, end):
    assert schedule.factor(0, 100, name) == pytest.approx(1)
    assert schedule.factor(50, 100, name) == pytest.approx(middle)
    assert schedule.factor(100, 100, name) == pytest.approx(end)


def test_restarts_begin_again_at_the_top():
    assert schedule.factor(50, 100, "cosine_with_restarts", cycles=2) == pytest.approx(1)
    assert schedule.factor(49, 100, "cosine_with_restarts", cycles=2) < 0.01


def test_polynomial_has_a_power():
    assert schedule.factor(50, 100, "polynomial", power=2) == pytest.approx(0.25)


def test_a_single_rate_as_text_follows_the_scheduler_as_the_number_does():
    assert schedule.rate("1e-4", 50, 100, "linear") == schedule.rate(1e-4, 50, 100, "linear") == pytest.approx(5e-5)


def test_schedule_text_is_the_webuis():
    rates = [schedule.rate("5e-3:200, 1e-3:500, 1e-4", step, 1000) for step in (0, 199, 200, 499, 500, 999)]
    assert rates == [5e-3, 5e-3, 1e-3, 1e-3, 1e-4, 1e-4]
    assert schedule.rate("1e-4", 7, 10) == 1e-4


@pytest.mark.parametrize("text", ["fast", "1e-3:", "1e-3:0, 1e-4", "1e-3:200, 1e-4:100", "-1", "99", "1e-3, 1e-4:5", ""])
def test_bad_schedule_text_is_refused(text):
    if text == "1e-3:":
        assert schedule.parse(text) == [(1e-3, -1)]
    else:
        with pytest.raises(UserError):
            schedule.parse(text)


PUBLISHED = {
    # transformers/optimization.py: get_cosine_with_min_lr_schedule_with_warmup, cycles 0.5, from 10 of 100 to 0.1
    "cosine_with_min_lr": ({"min_lr_ratio": 0.1},
                           lambda step: 0.5 * (1 + math.cos(math.pi * 2 * 0.5 * (step - 10) / 90)) * 0.9 + 0.1),
    # get_wsd_schedule: 10 up, 60 level, 30 down
    "warmup_stable_decay": ({"min_lr_ratio": 0.2, "decay": 30},
                            lambda step: 1.0 if step < 70 else
                            0.8 * 0.5 * (1 + math.cos(math.pi * 2 * 0.5 * (step - 70) / 30)) + 0.2),
    # get_inverse_sqrt_schedule: shift = timescale - warmup
    "inverse_sqrt": ({"timescale": 40}, lambda step: 1 / math.sqrt((step + (40 - 10)) / 40)),
    # Chen et al. 2021, equation 1: (1 - z) / (1/2 + 1/2 (1 - z))
    "rex": ({}, lambda step: (1 - (step - 10) / 90) / (1 / 2 + 1 / 2 * (1 - (step - 10) / 90))),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_further_schedules_are_the_published_ones(name):
    shape, published = PUBLISHED[name]
    for step in (10, 11, 40, 69, 70, 85, 99):
        assert schedule.factor(step, 100, name, warmup=10, **shape) == pytest.approx(published(step)), step
    assert [schedule.factor(step, 100, name, warmup=10, **shape) for step in (0, 5)] == [0, 0.5]
    assert schedule.factor(100, 100, name, warmup=10, **shape) == pytest.approx(
        {"cosine_with_min_lr": 0.1, "warmup_stable_decay": 0.2, "rex": 0.0}.get(name, published(100)))


def test_inverse_sqrt_takes_the_warm_up_for_its_time_scale():
    assert schedule.factor(40, 100, "inverse_sqrt", warmup=10) == pytest.approx((10 / 40) ** 0.5)
    assert schedule.factor(10_000, 10**6, "inverse_sqrt") == pytest.approx(0.5**0.5)


def test_a_rate_is_multiplied_in_schedule_text_too():
    assert schedule.multiplied(2e-4, 4) == pytest.approx(8e-4)
    assert schedule.parse(schedule.multiplied("1e-3:100, 5e-4", 2)) == [(0.002, 100), (0.001, -1)]
    assert schedule.multiplied("1e-3:100, 5e-4", 1) == "1e-3:100, 5e-4"
