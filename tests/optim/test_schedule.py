import pytest

from lib_sdtune.errors import UserError
from lib_sdtune.optim import schedule


def test_warmup_rises_to_the_full_rate():
    ramp = [schedule.factor(step, 100, "cosine", warmup=10) for step in range(11)]
    assert ramp == pytest.approx([0.1 * step for step in range(11)]), "from 0, as in sd-scripts"


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
