"""Loss at fixed noise and fixed timesteps, so that only learning moves it.

Measured on pictures that are never trained on, on as many trained ones (what parts them is memorising), and on the
class pictures (what rises there is being forgotten). Where no picture is kept aside, trained ones alone are measured,
for a run that ends by itself (`automatic_length.py`). Chance depends on the pictures alone, so two runs can be
compared.
"""

from collections.abc import Callable

import torch

from lib_sdtune import diffusion
from lib_sdtune.config import Config
from lib_sdtune.data.example import Example
from lib_sdtune.randomness import generator, mix
from lib_sdtune.training.batch import Batch, concats, sizes, stacked
from lib_sdtune.training.step_result import Step
from lib_sdtune.training.training_data import TrainingData

BINS, TIMESTEPS_PER_BIN = 4, 2  # quarters of the noise range, finest first, and timesteps measured in each
MAX_PICTURES = 24  # pictures of a kind; more would cost time and tell little
MAX_TRAINED_ALONE = 8  # where only trained ones are measured
COLUMNS = ("val_loss", "fit_loss", "class_loss")
QUARTERS = tuple(f"val_q{number + 1}" for number in range(BINS))


class Validation:
    """`measure_if_due(step)` gives log columns when it is time to measure, else {}.

    losses: (B,) of a `Batch` on the device. every: steps from one time to the next, 0 for every epoch's end.
    """

    def __init__(self, config: Config, training_data: TrainingData, losses: Callable[[Batch], torch.Tensor],
                 device: torch.device, every: int) -> None:
        self.config, self.training_data, self.every = config, training_data, every
        self.losses, self.device = losses, device
        held_out = at_most(MAX_PICTURES, training_data.held_out())
        trained, of_class = training_data.unaugmented_examples(False), training_data.unaugmented_examples(True)
        sets = held_out, at_most(len(held_out), trained), at_most(MAX_PICTURES, of_class)
        self.sets = dict(zip(COLUMNS, sets, strict=True)) if held_out else {}
        if not held_out and config.train.stop == "auto":
            self.sets = {"fit_loss": at_most(MAX_TRAINED_ALONE, trained)}
        self.timesteps = timesteps(config.noise.min_timestep, config.noise.max_timestep)

    def is_due(self, step: Step) -> bool:
        """Whether it is time to measure."""
        timely = step.number % self.every == 0 if self.every else step.epoch_ends
        return bool(self.sets and (timely or step.last))

    def measure_if_due(self, step: Step) -> dict[str, float]:
        if not self.is_due(step):
            return {}
        readable = {column: self.training_data.readable(examples) for column, examples in self.sets.items()}
        measured = {column: self.measure(examples) for column, examples in readable.items() if examples}
        if not readable[next(iter(self.sets))]:
            return {}
        quarters = dict(zip(QUARTERS, measured.get("val_loss", ()), strict="val_loss" in measured))
        return {column: sum(bins) / len(bins) for column, bins in measured.items()} | quarters

    @torch.no_grad()
    def measure(self, examples: list[Example]) -> list[float]:
        """Mean loss of the examples in every bin of timesteps, without the weights of single pictures."""
        size, sums = self.config.train.batch_size, [0.0] * BINS
        torch.manual_seed(0)  # for what drops out at random
        for example in examples:
            for start in range(0, len(self.timesteps), size):
                losses = self.losses(self.batch(example, self.timesteps[start:start + size])).tolist()
                for index, loss in enumerate(losses, start):
                    sums[index // TIMESTEPS_PER_BIN] += loss
        return [total / (len(examples) * TIMESTEPS_PER_BIN) for total in sums]

    def batch(self, example: Example, some_timesteps: list[int]) -> Batch:
        """The example once for each of these timesteps, each with its own noise."""
        cache, count = self.training_data.cache, len(some_timesteps)
        mean, _ = cache.latents(example)
        noise = [
            diffusion.noise_like(mean.shape, generator(0, "validation", example.picture.content, *example.size, t))
            for t in some_timesteps
        ]
        masks = stacked([cache.mask(example)] * count)
        return Batch(
            torch.stack([mean] * count),
            torch.stack(noise),
            None,
            torch.tensor(some_timesteps),
            torch.ones(count),
            masks,
            [example.caption] * count,
            [example] * count,
            sizes([example] * count),
            concats([example] * count, cache),
        ).to(self.device)


def timesteps(low: int, high: int) -> list[int]:
    """`TIMESTEPS_PER_BIN` timesteps in each of `BINS` equal parts of low..high, spread evenly."""
    count = BINS * TIMESTEPS_PER_BIN
    return [min(high - 1, low + int((high - low) * (number + 0.5) / count)) for number in range(count)]


def at_most(count: int, examples: list[Example]) -> list[Example]:
    """`count` of the examples, or all, chosen by their content alone."""
    ordered = sorted(examples, key=lambda example: mix(0, "measured", example.picture.content))
    return sorted(ordered[:count], key=lambda example: example.index)
