"""What a step was like: as it is told, and as numbers that may still be on their way from the device."""

import math
from dataclasses import dataclass

import torch

from lib_sdtune.data.loader import Example
from lib_sdtune.training.fetched import Fetched
from lib_sdtune.training.optimisation.outcome import Outcome
from lib_sdtune.training.per_image_loss import PerImageLoss


@dataclass(frozen=True)
class Step:
    """What happened in one optimiser step. `number` counts from 1; `seconds` excludes saves and samples."""

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
    """losses (B,) of its examples; `loss`, the mean of these and of its teacher's, is divided by `share`.

    learned: whether anything that learns took part in it.
    """

    examples: list[Example]
    timesteps: list[int]
    losses: torch.Tensor
    loss: torch.Tensor
    share: float
    learned: bool


class StepResult:
    """Step `number` (from 1), made with the rate `lr`, in `seconds` that are known later."""

    def __init__(self, number: int, lr: float, micro_batches: list[MicroBatch], outcome: Outcome):
        self.number, self.lr, self.micro_batches, self.seconds = number, lr, micro_batches, 0.0
        losses = [tensor for micro_batch in micro_batches for tensor in (micro_batch.losses, micro_batch.loss)]
        self.fetched = Fetched([*outcome, *losses])

    @property
    def learned(self) -> bool:
        return any(micro_batch.learned for micro_batch in self.micro_batches)

    @property
    def examples(self) -> list[Example]:
        return [example for micro_batch in self.micro_batches for example in micro_batch.examples]

    def note(self, per_image_loss: PerImageLoss) -> tuple[float, float, bool, bool]:
        """(loss, gradient's norm, whether it was applied, whether only the loss scale was too large), read now; the
        losses of single pictures are noted.
        """
        (norm,), (finite,), (excused,), *losses = self.fetched.numbers()
        for micro_batch, each in zip(self.micro_batches, losses[::2], strict=True):
            per_image_loss.note(micro_batch.examples, micro_batch.timesteps, each)
        count = len(self.micro_batches)
        parts = [
            count / micro_batch.share * loss
            for micro_batch, (loss,) in zip(self.micro_batches, losses[1::2], strict=True)
        ]
        return sum(parts) / count if count else math.nan, norm, bool(finite), bool(excused)
