from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from lib_sdtune.config import Config
from lib_sdtune.training.batch import draw, joined, stacked

MEAN, STD = torch.full((4, 8, 8), 2.0), torch.full((4, 8, 8), 0.5)
CACHE = SimpleNamespace(latents=lambda example: (MEAN, STD), concat=lambda example: None, mask=lambda example: None)


@dataclass
class Shown:
    index: int
    occurrence: int
    weight: float = 1.0
    caption: str = ""
    unconditional: bool = False
    size = scaled = (64, 64)
    crop, flip, picture = (0, 0), False, SimpleNamespace(width=64, height=64)


def drawn(how, index=0, occurrence=0, step=0):
    config = Config.from_dict({"name": "ron", "concepts": [{"images": "x"}], "dataset": {"latent_sampling": how}})
    return draw([Shown(index, occurrence)], step, CACHE, config)


def test_latents_are_drawn_anew_or_once_or_not_at_all():
    assert not torch.equal(drawn("random").latents, drawn("random", occurrence=1, step=5).latents)
    assert torch.equal(drawn("once").latents, drawn("once", occurrence=1, step=5).latents)
    assert not torch.equal(drawn("once").latents, drawn("once", index=1).latents)
    assert torch.equal(drawn("deterministic").latents[0], MEAN)
    spread = (drawn("once").latents - 2.0).std()
    assert 0.4 < spread < 0.6


@pytest.mark.parametrize("how", ["once", "deterministic"])
def test_noise_and_timesteps_do_not_depend_on_it(how):
    random, other = drawn("random", step=3), drawn(how, step=3)
    assert torch.equal(random.noise, other.noise) and torch.equal(random.timesteps, other.timesteps)


@pytest.mark.parametrize(("flip", "left"), [(False, 30), (True, 66)])
def test_sdxl_hears_of_the_original_the_cut_and_the_target_each_height_first(flip, left):
    """A mirrored picture counts from its other side: 160 - 64 - 30 = 66."""
    example = Shown(0, 0)
    example.picture, example.scaled, example.crop = SimpleNamespace(width=200, height=100), (160, 80), (30, 8)
    example.size, example.flip = (64, 72), flip
    batch = draw([Shown(1, 0), example], 0, CACHE, Config.from_dict({"name": "ron", "concepts": [{"images": "x"}]}))
    assert batch.sizes.tolist() == [[64, 64, 0, 0, 64, 64], [100, 200, 8, left, 72, 64]]


def test_chance_is_of_the_seed_the_step_the_picture_and_its_showing():
    """None of two that differ in one of them see the same noise."""
    def noise(seed=0, step=3, index=1, occurrence=2):
        config = Config.from_dict({"name": "ron", "concepts": [{"images": "x"}], "train": {"seed": seed}})
        return draw([Shown(index, occurrence)], step, CACHE, config).noise

    drawn_noise = [noise(), noise(seed=1), noise(step=4), noise(index=2), noise(occurrence=3)]
    assert torch.equal(noise(), drawn_noise[0])
    assert not any(torch.equal(one, other) for number, one in enumerate(drawn_noise) for other in drawn_noise[:number])


def test_latents_drawn_once_are_those_of_the_seed():
    def latents(seed):
        config = Config.from_dict({"name": "ron", "concepts": [{"images": "x"}], "train": {"seed": seed},
                                   "dataset": {"latent_sampling": "once"}})
        return draw([Shown(0, 0)], 0, CACHE, config).latents

    assert torch.equal(latents(1), latents(1)) and not torch.equal(latents(1), latents(2))


def test_two_batches_become_one_of_everything_that_the_forward_reads():
    """Of examples under no prompt those of the second alone; with what an inpainting model reads beside the latents."""
    config = Config.from_dict({"name": "ron", "concepts": [{"images": "x"}], "noise": {"ip_noise_gamma": 0.1}})
    cache = SimpleNamespace(latents=CACHE.latents, mask=CACHE.mask, concat=lambda example: torch.full((5, 8, 8), float(example.index)))
    first = draw([Shown(0, 0, caption="a"), Shown(1, 0, caption="b")], 0, cache, config)
    second = draw([Shown(2, 0, weight=4.0, unconditional=True)], 0, cache, config)
    both = joined([first, second])
    for name in ("latents", "noise", "perturbation", "timesteps", "weights", "sizes", "concat"):
        assert torch.equal(getattr(both, name), torch.cat([getattr(first, name), getattr(second, name)])), name
    assert both.captions == ["a", "b", ""] and both.examples == first.examples + second.examples
    assert first.unconditional is None and both.unconditional.tolist() == [False, False, True]
    assert joined([first, first]).unconditional is None and joined([first]) is first


def test_a_picture_without_a_mask_counts_everywhere_beside_one_that_has_one():
    mask = torch.tensor([[0.0, 0.5], [1.0, 0.25]])
    assert torch.equal(stacked([None, mask, None]), torch.stack([torch.ones(2, 2), mask, torch.ones(2, 2)]))
    assert stacked([None, None]) is None
