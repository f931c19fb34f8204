"""The training objective: noise is added to latents, and the UNet's prediction compared with its target."""

from dataclasses import replace

import torch

from lib_sdtune import diffusion
from lib_sdtune.families.base import Conditioning
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.sections.loss import LossConfig
from lib_sdtune.training import precision
from lib_sdtune.training.batch import Batch
from lib_sdtune.training.conditioner import Conditioner
from lib_sdtune.training.losses import example_losses


class Objective:
    """dtype: what the forward computes in. step: how many steps are done; text encoders may learn only for some."""

    def __init__(self, loss: LossConfig, model: LoadedModel, dtype: torch.dtype, conditioner: Conditioner) -> None:
        self.loss, self.model, self.dtype, self.conditioner, self.step = loss, model, dtype, conditioner, 0
        self.schedule = model.schedule.to(model.device, torch.float32)

    def losses(self, batch: Batch) -> torch.Tensor:
        """(B,) the weighted loss of every example."""
        return self.unweighted(self.predict(batch), batch) * batch.weights

    def unweighted(self, prediction: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(B,) the losses of a prediction (B, 4, h, w), as if every example counted once."""
        return example_losses(prediction, batch, self.loss, self.model.prediction_type, self.schedule)

    def predict(self, batch: Batch, conditioning: Conditioning | None = None) -> torch.Tensor:
        """The UNet's answer (B, 4, h, w) to a batch, told its captions, or something else."""
        noise = batch.noise if batch.perturbation is None else batch.noise + batch.perturbation
        noisy = diffusion.add_noise(batch.latents, noise, batch.timesteps, self.schedule)
        with precision.autocast(self.model.device, self.dtype):
            conditioning = conditioning or self.conditioner(batch.captions, self.step)
            if batch.unconditional is not None:
                conditioning = self.model.family.unconditional(conditioning, batch.unconditional)
            conditioning = replace(conditioning, sizes=batch.sizes, concat=batch.concat)
            return self.model.family.predict(self.model, noisy.to(self.model.dtype), batch.timesteps, conditioning)
