"""What a step was like: as it is told, and as numbers that may still be on their way from the device."""

import math
from dataclasses import dataclass

import torch

from lib_sdtune.data.loader import Example
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
    """losses (B,) of its examples, as if each counted once; `loss`, the mean of
    what they count and of its teacher's, is divided by `share`.

    learned: whether anything that learns took part in it.
    """

    examples: list[Example]
    timesteps: list[int]
    losses: torch.Tensor
    loss: torch.Tensor
    share: float
    learned: bool

    def rows(self) -> torch.Tensor:
        """(B, 3) float32 on the device: which picture each example is, its timestep and its loss."""
        own = [[example.index, timestep] for example, timestep in zip(self.examples, self.timesteps, strict=True)]
        return torch.cat([torch.tensor(own, device=self.losses.device).view(-1, 2), self.losses[:, None]], 1).float()


class StepResult:
    """Step `number` (from 1), made with the rate `lr`, in `seconds` that are known later.

    rows_of_all: the rows of all processes' micro-batches, where several train together.
    loss_of_all: the loss of all processes, where there are several, as `Accumulation.loss_of_all` gives it.
    """

    def __init__(self, number: int, lr: float, micro_batches: list[MicroBatch], outcome: Outcome,
                 rows_of_all: torch.Tensor | None = None, loss_of_all: torch.Tensor | None = None):
        self.number, self.lr, self.micro_batches, self.seconds = number, lr, micro_batches, 0.0
        self.has_loss_of_all = loss_of_all is not None
        losses = [tensor for micro_batch in micro_batches for tensor in (micro_batch.losses, micro_batch.loss)]
        joint = [tensor for tensor in (rows_of_all, loss_of_all) if tensor is not None]
        self.host_copy = HostCopy([*outcome, *losses, *joint])

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
        """
        (norm,), (finite,), (excused,), *more = self.host_copy.numbers()
        loss_of_all = more.pop() if self.has_loss_of_all else None
        losses, rows_of_all = more[:2 * len(self.micro_batches)], more[2 * len(self.micro_batches):]
        noted = [([int(index) for index in rows[::3]], [int(timestep) for timestep in rows[1::3]], rows[2::3])
                 for rows in rows_of_all]
        noted = noted or [([example.index for example in micro_batch.examples], micro_batch.timesteps, example_losses)
                          for micro_batch, example_losses in zip(self.micro_batches, losses[::2], strict=True)]
        for indices, timesteps, example_losses in noted:
            per_image_loss.note(indices, timesteps, example_losses)
            timestep_sampling.note(self.number, timesteps, example_losses)
        if loss_of_all is not None:
            loss, count = loss_of_all
            return loss if count else math.nan, norm, bool(finite), bool(excused)
        count = len(self.micro_batches)
        parts = [
            count / micro_batch.share * loss
            for micro_batch, (loss,) in zip(self.micro_batches, losses[1::2], strict=True)
        ]
        return sum(parts) / count if count else math.nan, norm, bool(finite), bool(excused)
