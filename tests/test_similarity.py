"""The statistics of `benchmarks/similarity.py`: they must not see a gain where there is none, nor miss one."""

import numpy as np
import pytest

from benchmarks.similarity import config, interval, row, significance
from lib_sdtune.host.embedded import EmbeddedHost


@pytest.fixture
def chance():
    return np.random.default_rng(1)


def test_a_gain_is_told_from_noise(chance):
    noise = chance.normal(0, 0.3, (3, 16))
    low, high = interval(noise - noise.mean())
    assert low < 0 < high and significance(noise - noise.mean()) == pytest.approx(0.5, abs=0.05)
    low, high = interval(noise - noise.mean() + 0.3)
    assert 0.1 < low < 0.3 < high and significance(noise - noise.mean() + 0.3) < 0.001
    assert significance(np.zeros((3, 16))) == 1


def test_one_lucky_training_is_no_gain(chance):
    gains = chance.normal(0, 0.05, (3, 16)) + np.array([[0.6], [-0.2], [-0.1]])
    assert interval(gains)[0] < 0


def test_the_table(tmp_path):
    before, after = np.zeros((2, 4)), np.array([[0.5, 0.7, 0.6, 0.6], [0.4, 0.4, 0.4, 0.4]])
    assert row("ti", "overlap", before, after).startswith("| ti | overlap | 0.00 | 0.50 | +0.50 (+0.4")
    assert "| +0.60, +0.40 |" in row("ti", "overlap", before, after)


@pytest.mark.parametrize("method", ["textual_inversion", "hypernetwork"])
def test_the_recipes_are_settings(tmp_path, method):
    assert config(method, 1, 500, EmbeddedHost(tmp_path)).method == method
