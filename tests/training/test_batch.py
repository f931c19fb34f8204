from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from lib_sdtune.config import Config
from lib_sdtune.training.batch import draw

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
