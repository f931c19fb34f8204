"""What a step was like: as it is told, and as numbers that may still be on their way from the device."""

import math
from dataclasses import dataclass

import torch

from lib_sdtune.data.example import Example
from lib_sdtune.devices import upload
from lib_sdtune.training.host_copy import HostCopy
from lib_sdtune.training.optimizer_steps.outcome import Outcome
from lib_sdtune.training.per_image_loss import PerImageLoss
from lib_sdtune.training.timestep_sampling import TimestepSampling


@dataclass(frozen=True)
class Step:
    """What happened in one optimizer step. `number` counts from 1; `seconds` excludes saves and samples."""

    number: int
    epoch: int
    epoch_ends: bool
    last: bool
    loss: float
    lr: float
    seconds: float
    skipped: int

    def row(self, norm: float) -> dict[str, float]:
        """Its row in the log; norm: of the gradients."""
        return {"step": self.number, "epoch": self.epoch, "loss": self.loss, "lr": self.lr, "seconds": self.seconds,
                "grad_norm": norm, "skipped": self.skipped}


@dataclass
class MicroBatch:
    """losses (B,) of its examples, as if each counted once, and weights (B,), how much each counts.

    learned: whether anything that learns took part in it.
    """

    examples: list[Example]
    timesteps: list[int]
    losses: torch.Tensor
    weights: list[float]
    learned: bool

    def facts(self) -> list[tuple[int, int, float]]:
        """(picture, timestep, weight) of each example."""
        indices = [example.index for example in self.examples]
        return list(zip(indices, self.timesteps, self.weights, strict=True))

    def rows(self) -> torch.Tensor:
        """(B, 4) float32 on the device: picture, timestep, weight and loss of each example."""
        facts = upload(torch.tensor(self.facts()), self.losses.device)
        return torch.cat([facts, self.losses[:, None].float()], 1)


class StepResult:
    """Step `number` (from 1), made with the rate `lr`, in `seconds` that are known later.

    rows_of_all: (N, 4) the rows of all processes' micro-batches, where several train together; those of -1 are empty.
    """

    def __init__(self, number: int, lr: float, micro_batches: list[MicroBatch], outcome: Outcome,
                 rows_of_all: torch.Tensor | None = None) -> None:
        self.number, self.lr, self.micro_batches, self.seconds = number, lr, micro_batches, 0.0
        losses = [micro_batch.losses for micro_batch in micro_batches] if rows_of_all is None else [rows_of_all]
        self.alone, self.host_copy = rows_of_all is None, HostCopy([*outcome, *losses])

    @property
    def learned(self) -> bool:
        return any(micro_batch.learned for micro_batch in self.micro_batches)

    @property
    def examples(self) -> list[Example]:
        return [example for micro_batch in self.micro_batches for example in micro_batch.examples]

    def note(self, per_image_loss: PerImageLoss, timestep_sampling: TimestepSampling
             ) -> tuple[float, float, bool, bool]:
        """(loss, gradient's norm, whether it was applied, whether only the loss scale was too large), read now; the
        losses of single pictures and timesteps are noted.

        The loss is the mean of what the examples count, as other trainers tell it: what a teacher adds is no part of
        it.
        """
        (norm,), (finite,), (excused,), *numbers = self.host_copy.numbers()
        rows = self.own_rows(numbers) if self.alone else filled_rows(*numbers)
        indices, timesteps, weights, losses = map(list, zip(*rows, strict=True)) if rows else ([], [], [], [])
        per_image_loss.note(indices, timesteps, losses)
        timestep_sampling.note(self.number, timesteps, losses)
        counted = [weight * loss for weight, loss in zip(weights, losses, strict=True)]
        return sum(counted) / len(counted) if counted else math.nan, norm, bool(finite), bool(excused)

    def own_rows(self, losses: list[list[float]]) -> list[tuple[int, int, float, float]]:
        """(picture, timestep, weight, loss) of every example."""
        return [(*facts, loss) for micro_batch, example_losses in zip(self.micro_batches, losses, strict=True)
                for facts, loss in zip(micro_batch.facts(), example_losses, strict=True)]


def filled_rows(numbers: list[float]) -> list[tuple[int, int, float, float]]:
    """The same of all processes, from their rows put one behind the other."""
    rows = zip(*[iter(numbers)] * 4, strict=True)
    return [(int(index), int(timestep), weight, loss) for index, timestep, weight, loss in rows if index >= 0]
