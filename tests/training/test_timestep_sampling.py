"""Timesteps drawn by their loss."""

import json

import pytest
import torch
from safetensors.torch import load_file

from lib_sdtune.randomness import generator
from lib_sdtune.sections.noise import NoiseConfig
from lib_sdtune.training import timestep_sampling
from tests.hosts import TinyHost, pictures, resumed, settings, train

SETTINGS = {"timestep_sampling": "loss", "min_timestep": 100, "max_timestep": 900}


def loss_at(timestep):
    """As noise prediction has it: large where there is little noise."""
    return 0.01 + 0.5 * (1 - timestep / 1000) ** 3


def taught(steps, each=50):
    """A sampler after so many steps with `each` examples at timesteps of its own."""
    sampling = timestep_sampling.choose(NoiseConfig(**SETTINGS))
    for step in range(steps):
        sampling.begin(step)
        drawn = [sampling.draw(generator(step, "drawn", number))[0] for number in range(each)]
        sampling.note(step + 1, drawn, [loss_at(timestep) for timestep in drawn])
    sampling.begin(steps + 1)
    return sampling


def test_large_losses_come_more_often_and_the_mean_stays():
    sampling = taught(40)
    drawn = [sampling.draw(generator(7, "drawn", number)) for number in range(20000)]
    timesteps = torch.tensor([timestep for timestep, _ in drawn])
    assert (int(timesteps.min()), int(timesteps.max())) == (100, 899)
    fine, coarse = (loss_at(timestep) for timestep in (120, 880))
    often, seldom = (((timesteps >= low) & (timesteps < low + 40)).float().mean() for low in (100, 860))
    even = timestep_sampling.EVENLY / 20
    assert (often - even) / (seldom - even) == pytest.approx(fine / coarse, rel=0.5)
    mean = sum(loss_at(timestep) * factor for timestep, factor in drawn) / len(drawn)
    assert mean == pytest.approx(sum(map(loss_at, range(100, 900))) / 800, rel=0.01)
    assert max(factor for _, factor in drawn) <= 1 / timestep_sampling.EVENLY
    products = torch.tensor([loss_at(timestep) * factor for timestep, factor in drawn])
    evenly = torch.tensor([loss_at(timestep) for timestep in range(100, 900)])
    assert products.std() < 0.6 * evenly.std()  # what it is good for


def test_all_are_as_likely_until_each_band_has_a_few_losses():
    sampling = timestep_sampling.choose(NoiseConfig(**SETTINGS))
    sampling.note(1, list(range(100, 860)), [1.0] * 760)
    sampling.begin(2)
    assert {sampling.draw(generator(3, "drawn", number))[1] for number in range(200)} == {1.0}
    sampling.note(2, list(range(860, 900)), [3.0, float("nan")] * 20)
    sampling.begin(3)
    assert sampling.shares[-1] == pytest.approx(0.1 / 20 + 0.9 * 3 / 22)


def test_when_losses_are_read_changes_nothing():
    early, late = (timestep_sampling.choose(NoiseConfig(**SETTINGS)) for _ in range(2))
    losses = [(step, list(range(100, 900, 7)), [float(step + number % 5) for number in range(115)]) for step in (1, 2, 3)]
    for sampling, lag in ((early, 0), (late, 1)):
        for number, *_ in losses:
            sampling.begin(number - 1)
            sampling.shares_then = sampling.shares
            if number > lag:
                sampling.note(*losses[number - 1 - lag])
    assert early.shares_then == late.shares_then and early.squares == late.squares
    again = timestep_sampling.choose(NoiseConfig(**SETTINGS))
    again.load(json.loads(json.dumps(early.state())))
    for sampling in (early, again):
        sampling.begin(3)
    assert again.shares == early.shares != early.shares_then


@pytest.fixture
def quick(monkeypatch):
    """What a run of few steps can tell."""
    monkeypatch.setattr(timestep_sampling, "BANDS", 3)
    monkeypatch.setattr(timestep_sampling, "MIN_LOSSES", 1)


def test_a_resumed_run_draws_the_same(tmp_path, quick):
    images = pictures(tmp_path / "2_ron", 4)
    config = settings(images, train={"max_train_steps": 8, "batch_size": 3}, noise={"timestep_sampling": "loss"})
    whole, broken = resumed(tmp_path, config)
    train(evenly := TinyHost(tmp_path / "evenly"), config | {"noise": {}})
    whole_file, resumed_file, even_file = (load_file(host.folder("lora") / "ron.safetensors") for host in (whole, broken, evenly))
    assert all(torch.equal(whole_file[name], resumed_file[name]) for name in whole_file)
    assert not all(torch.equal(whole_file[name], even_file[name]) for name in whole_file)
