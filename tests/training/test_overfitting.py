"""What is said about made-up curves."""

import math
import random

import pytest

from lib_sdtune.training import log_csv
from lib_sdtune.training.overfitting import assess, judge, measured


def rows(aside, fit, regular=None, every=50):
    """Log rows with a measurement every `every` steps, and noisy single losses in between."""
    table = []
    for number, (a, f) in enumerate(zip(aside, fit, strict=True), 1):
        table += [{"step": every * (number - 1) + i, "loss": 0.3, "val_loss": None} for i in range(1, every, 20)]
        kept = regular[number - 1] if regular else None
        table.append({"step": every * number, "loss": 0.3, "val_loss": a, "fit_loss": f, "class_loss": kept})
    return table


def falling(count, start=0.2, rate=0.02):
    return [start * (1 - rate) ** i for i in range(count)]


def valley(count, turn, start=0.2, rate=0.02):
    """Falls until `turn`, then rises as fast."""
    return [start * (1 - rate) ** min(i, 2 * turn - i) if i < 2 * turn else start * (1 + rate * (i - 2 * turn)) for i in range(count)]


def trembling(values, size, seed):
    chance = random.Random(seed)
    return [value * (1 + chance.gauss(0, size)) for value in values]


def test_nothing_measured_nothing_said():
    assert assess([]) is None and assess([{"step": 1, "loss": 0.2, "val_loss": None}]) is None


def test_too_few_measurements_are_not_judged():
    assessment = assess(rows([0.2, 0.3, 0.4], [0.2, 0.1, 0.1]))
    assert assessment["kind"] == "unknown" and assessment["step"] is None


@pytest.mark.parametrize("aside", [[0.2, 0.3, math.nan], [0.2, 0.19, 0.3, 0.4, math.inf], [math.nan]])
def test_a_loss_that_overflows_gets_worse_also_when_the_log_is_read(tmp_path, aside):
    table = rows(aside, aside)
    kept = log_csv.LogCsv(tmp_path)
    for row in table:
        kept.write(row)
    kept.close()
    step = {3: 50, 5: 100, 1: None}[len(aside)]
    for assessment in (assess(table), assess(kept.rows), assess(log_csv.read(tmp_path / "log.csv"))):
        assert assessment["kind"] == "diverges" and assessment["step"] == step and "lower the learning rate" in assessment["sentence"]
    recovered = assess([*table, *rows([0.1, 0.1], [0.1, 0.1])])
    assert recovered["kind"] != "diverges" and "inf" not in recovered["sentence"]


@pytest.mark.parametrize("size", [0, 0.004])
def test_both_falling_is_learning(size):
    for seed in range(5):
        assert assess(rows(trembling(falling(20), size, seed), falling(20)))["kind"] == "learning"


@pytest.mark.parametrize("size", [0, 0.004])
def test_a_valley_is_where_memorising_starts(size):
    for seed in range(5):
        assessment = assess(rows(trembling(valley(20, 9), size, seed), falling(20)))
        assert assessment["kind"] == "memorises" and 450 <= assessment["step"] <= 600
        assert f"memorise at step {assessment['step']}" in assessment["sentence"]


def test_what_falls_falls_by_less_than_all_of_it():
    assert "trained pictures fell by 89 %" in assess(rows(valley(20, 9), [0.2] * 9 + falling(11, 0.15, 0.2)))["sentence"]


def test_a_bump_that_passes_is_learning():
    aside = falling(10)
    assert assess(rows([*aside[:4], 0.21, 0.22, *aside[4:]], falling(12)))["kind"] == "learning"


def test_a_single_bad_end_is_not_enough():
    assert assess(rows([*falling(10), 0.3], falling(11)))["kind"] == "learning"


def test_a_flat_trembling_curve_is_not_memorising():
    for seed in range(20):
        assert assess(rows(trembling([0.2] * 20, 0.01, seed), falling(20)))["kind"] == "learning", seed


def test_both_rising_is_another_matter():
    assessment = assess(rows(valley(20, 6), valley(20, 6)))
    assert assessment["kind"] == "diverges" and "learning rate" in assessment["sentence"]


def test_a_curve_that_jumps_and_stays_up_is_told():
    """As measured with a rate far too high: the jump itself is no trembling."""
    assessment = assess(rows([0.562, 1.065, 1.629, 1.024, 1.023, 1.024, 1.024, 1.024], [0.639, 1.085, 1.067, 1.068, 1.067, 1.066, 1.065, 1.065]))
    assert assessment["kind"] == "diverges" and assessment["step"] == 50


def wandering(values, size, seed, keeps=0.7):
    """Trembles around the values and wanders off a little, as weights do at a high rate."""
    chance, away, wandered = random.Random(seed), 0.0, []
    for value in values:
        away = keeps * away + math.sqrt(1 - keeps**2) * chance.gauss(0, size)
        wandered.append(value * (1 + away))
    return wandered


def settling(count, turn, rise=0.0):
    """Falls by 30 %, ever more slowly, until `turn`; then rises by the share `rise` a measurement."""
    return [0.2 * (0.7 + 0.3 * math.exp(-3 * i / turn) + rise * max(0, i - turn)) for i in range(count)]


def looked_at(aside, fit):
    """What is said after every measurement, from the fourth on."""
    whole = [(50 * number, a, f, None) for number, (a, f) in enumerate(zip(aside, fit, strict=True), 1)]
    return [judge(whole[:count]) for count in range(4, len(whole) + 1)]


@pytest.mark.parametrize("keeps, size, bar", [(0, 0.003, 0), (0, 0.03, 0.05), (0, 0.06, 0.1), (0.7, 0.01, 0.05), (0.7, 0.03, 0.15),
                                              (0.7, 0.06, 0.3)])
@pytest.mark.parametrize("count", [8, 20, 60])
def test_healthy_runs_give_no_alarm_whenever_they_are_looked_at(count, keeps, size, bar):
    alarms, false = 0, 0
    for seed in range(40):
        assessments = looked_at(wandering(settling(count, 0.6 * count), size, 2 * seed, keeps), wandering(settling(count, count), size, 2 * seed + 1, keeps))
        wrong = [assessment["kind"] in ("memorises", "diverges") for assessment in assessments]
        alarms, false = alarms + any(wrong), false + wrong[-1]
    assert alarms <= bar * 40 and false <= 0.05 * 40


@pytest.mark.parametrize("size, rise, reach, delay", [(0.003, 0.03, 1, 5), (0.01, 0.03, 2, 6), (0.01, 0.1, 2, 5), (0.03, 0.03, 5, 9),
                                                      (0.03, 0.1, 5, 6)])
@pytest.mark.parametrize("count", [12, 24, 60])
def test_memorising_is_told_where_it_starts_and_soon(count, size, rise, reach, delay):
    turn, fell = count // 3, [0.2 * 0.97**i for i in range(count)]
    late, off = [], []
    for seed in range(20):
        assessments = looked_at(trembling(settling(count, turn, rise), size, 2 * seed), trembling(fell, size, 2 * seed + 1))
        if assessments[-1]["kind"] == "memorises":
            off.append(assessments[-1]["step"] / 50 - 1 - turn)
            late.append(4 + max((place + 1 for place, assessment in enumerate(assessments) if assessment["kind"] != "memorises"), default=0) - 1 - turn)
    assert len(off) >= 18
    assert abs(sorted(off)[len(off) // 2]) <= max(1, reach - 2) and sum(abs(assessment) <= reach for assessment in off) >= 0.75 * len(off)
    assert sorted(late)[len(late) // 2] <= delay


def test_a_class_that_is_forgotten_is_told():
    assessment = assess(rows(falling(12), falling(12), [0.1, 0.1, 0.101, 0.1, 0.102, 0.103, 0.105, 0.108, 0.11, 0.112, 0.115, 0.118]))
    assert "forgotten" in assessment["forgetting"] and "18 %" in assessment["forgetting"]
    assert assess(rows(falling(12), falling(12), trembling([0.1] * 12, 0.005, 1)))["forgetting"] == ""


def test_without_the_trained_pictures_measured_the_steps_own_losses_stand_in():
    points = measured([{"step": 1, "loss": 0.4, "val_loss": None}, {"step": 2, "loss": 0.2, "val_loss": 0.5},
                       {"step": 3, "loss": 0.1, "val_loss": None}, {"step": 4, "loss": math.nan, "val_loss": 0.4}])
    assert points == [(2, 0.5, pytest.approx(0.3), None), (4, 0.4, 0.1, None)]
