"""Loss on pictures that are never trained on, at fixed noise and fixed timesteps, so that only learning moves it."""

from dataclasses import replace

import torch

from lib_sdtune.training.batch import draw

TIMESTEPS = (100, 300, 500, 700, 900)


class Validation:
    """`due(step)` is the mean loss when it is time for one, else None."""

    def __init__(self, trainer):
        self.trainer, self.settings = trainer, trainer.config.validation

    def due(self, step):
        every = self.settings.every_n_steps
        timely = step.number % every == 0 if every else step.epoch_ends
        examples = self.trainer.material.held_out()
        if not examples or not (timely or step.last):
            return None
        return self.measure(examples)

    def measure(self, examples):
        """Mean loss over the examples and `TIMESTEPS`."""
        trainer, total, count = self.trainer, 0.0, 0
        with torch.no_grad():
            for example in examples:
                for timestep in TIMESTEPS:
                    batch = draw([example], timestep, trainer.material.cache, trainer.config)
                    batch = replace(batch, timesteps=torch.tensor([timestep])).to(trainer.model.device)
                    total, count = total + float(trainer.losses(batch).mean()), count + 1
        return total / count
