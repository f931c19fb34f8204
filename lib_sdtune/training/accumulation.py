"""Gradient accumulation: forward and backward of every micro-batch of a step, whose gradients add up."""

import torch

from lib_sdtune.config import Config
from lib_sdtune.data.example import Example
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.randomness import seed_layers
from lib_sdtune.training.batch import draw, joined
from lib_sdtune.training.micro_batches import MicroBatches
from lib_sdtune.training.objective import Objective
from lib_sdtune.training.optimizer_steps.optimizer_step import OptimizerStep
from lib_sdtune.training.step_result import MicroBatch
from lib_sdtune.training.timestep_sampling import TimestepSampling


class Accumulation:
    """`accumulate(step)`: the micro-batches of a step counted from 0, whose gradients are with the optimizer then."""

    def __init__(self, config: Config, model: LoadedModel, micro_batches: MicroBatches, objective: Objective,
                 optimizer_step: OptimizerStep, timestep_sampling: TimestepSampling) -> None:
        self.config, self.model, self.micro_batches = config, model, micro_batches
        self.objective, self.optimizer_step, self.timestep_sampling = objective, optimizer_step, timestep_sampling

    def __call__(self, step: int) -> list[MicroBatch]:
        self.timestep_sampling.begin(step)
        self.objective.step = step
        return [self.accumulate(*micro_batch) for micro_batch in self.micro_batches(step)]

    def accumulate(self, number: int, examples: list[Example], share: float) -> MicroBatch:
        """Forward and backward of one micro-batch, whose mean loss is divided by `share`."""
        seed_layers(self.model.device, self.config.train.seed, "dropout", number)
        batch = draw(examples, number, self.micro_batches.training_data.cache, self.config, self.timestep_sampling)
        batches = [batch.to(self.model.device), *self.micro_batches.teacher.batches(number, examples)]
        predictions = self.objective.predict(joined(batches)).split([len(batch.latents) for batch in batches])
        losses = [self.objective.unweighted(*pair) for pair in zip(predictions, batches, strict=True)]
        loss = torch.cat([unweighted * batch.weights for unweighted, batch in zip(losses, batches, strict=True)]).mean()
        if loss.requires_grad:
            self.optimizer_step.backward(loss / share)
        return MicroBatch(examples, batch.timesteps.tolist(), losses[0].detach(), batch.weights.tolist(),
                          loss.requires_grad)

    def rows_of_all(self, micro_batches: list[MicroBatch]) -> torch.Tensor | None:
        """(N, 4) rows of all processes, filled up with -1; None where there is one process."""
        world, train = self.micro_batches.world, self.config.train
        if world.size == 1:
            return None
        empty = torch.zeros(0, 4, device=self.model.device)
        rows = torch.cat([empty, *(micro_batch.rows() for micro_batch in micro_batches)])
        return world.all_gather(rows, train.batch_size * train.gradient_accumulation_steps)
