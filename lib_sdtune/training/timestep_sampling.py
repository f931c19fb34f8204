"""Which timesteps the examples of a step get: as the settings say, or by the loss that the run has seen so far.

By loss is the "loss-second-moment resampler" of Nichol & Dhariwal 2021 (arXiv 2102.09672, section 3.3): a timestep is
drawn in proportion to the root of its mean squared loss, and its loss is divided by how much more often it comes than
evenly, so that the mean stays the one that is learned from. The paper waits for ten losses of each timestep, more than
a run of ours has altogether: here timesteps learn in bands from each other.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from lib_sdtune import diffusion
from lib_sdtune.sections.noise import NoiseConfig
from lib_sdtune.training.per_image_loss import update_mean

BANDS = 20
MIN_LOSSES = 5  # losses of every band before any is preferred
MEMORY = 100  # losses that a band's mean looks back on
EVENLY = 0.1  # share of the examples whose timestep is as likely as another: no loss counts more than ten times


class TimestepSampling:
    """The distribution that the settings name; it learns nothing."""

    learns = False

    def __init__(self, settings: NoiseConfig) -> None:
        self.settings = settings

    def begin(self, step: int) -> None:
        """Before step `step`, counted from 0."""

    def draw(self, rng: torch.Generator) -> tuple[int, float]:
        """(timestep, what its loss is multiplied by)."""
        noise = self.settings
        return diffusion.sample_timestep(rng, noise.min_timestep, noise.max_timestep, noise.timestep_sampling,
                                         noise.logit_mean, noise.logit_std), 1.0

    def note(self, number: int, timesteps: Sequence[int], losses: Sequence[float]) -> None:
        """Losses of step `number`, counted from 1, at timesteps; both (B,)."""

    def state(self) -> dict[str, Any]:
        """What a resume point keeps, as JSON has it."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""


class ByLoss(TimestepSampling):
    """Timesteps by their loss. A step's losses count from the step after the next one, whenever they are read: on a GPU
    they come that late, and a resumed run must draw what the uninterrupted one draws.
    """

    learns = True

    def __init__(self, settings: NoiseConfig) -> None:
        super().__init__(settings)
        self.low, self.count = settings.min_timestep, settings.max_timestep - settings.min_timestep
        bands = min(BANDS, self.count)
        self.edges = [self.low + self.count * band // bands for band in range(bands + 1)]
        self.squares = [[0, 0.0] for _ in range(bands)]  # how many losses, their mean square
        self.waiting: list[list] = []  # [step, band, loss]
        self.shares = self.even_shares()

    def even_shares(self) -> list[float]:
        return [(end - start) / self.count for start, end in zip(self.edges, self.edges[1:], strict=False)]

    def begin(self, step: int) -> None:
        for number, band, loss in self.waiting:
            if number < step:
                update_mean(self.squares[band], loss**2, MEMORY)
        self.waiting = [entry for entry in self.waiting if entry[0] >= step]
        self.shares = self.even_shares()
        if all(count >= MIN_LOSSES for count, _ in self.squares):
            sizes = [share * math.sqrt(square) for share, (_, square) in zip(self.shares, self.squares, strict=True)]
            self.shares = [EVENLY * share + (1 - EVENLY) * size / sum(sizes)
                           for share, size in zip(self.shares, sizes, strict=True)]

    def draw(self, rng: torch.Generator) -> tuple[int, float]:
        place = float(torch.rand(1, generator=rng, dtype=torch.float64))
        band = 0
        while band < len(self.shares) - 1 and place >= self.shares[band]:
            place -= self.shares[band]
            band += 1
        start, end = self.edges[band : band + 2]
        timestep = min(end - 1, start + int((end - start) * place / self.shares[band]))
        return timestep, (end - start) / self.count / self.shares[band]

    def note(self, number: int, timesteps: Sequence[int], losses: Sequence[float]) -> None:
        for timestep, loss in zip(timesteps, losses, strict=True):
            if math.isfinite(loss) and loss > 0:
                self.waiting.append([number, self.band(timestep), loss])

    def band(self, timestep: int) -> int:
        return next(band for band, end in enumerate(self.edges[1:]) if timestep < end)

    def state(self) -> dict[str, Any]:
        return {"squares": self.squares, "waiting": self.waiting}

    def load(self, state: dict[str, Any]) -> None:
        self.squares, self.waiting = state["squares"], state["waiting"]


def choose(settings: NoiseConfig) -> TimestepSampling:
    """What the settings ask for."""
    return ByLoss(settings) if settings.timestep_sampling == "loss" else TimestepSampling(settings)
