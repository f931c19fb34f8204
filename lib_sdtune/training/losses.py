"""How far the model's answer to every example lies from what it should be, by its timestep as the settings say."""

import torch

from lib_sdtune import diffusion
from lib_sdtune.sections.loss import LossConfig
from lib_sdtune.training.batch import Batch


def example_losses(prediction: torch.Tensor, batch: Batch, loss: LossConfig, prediction_type: str,
                   schedule: torch.Tensor) -> torch.Tensor:
    """(B,) for a prediction (B, 4, h, w), each as if it counted once: `batch.weights` are not in it.

    schedule: (1000,) how much signal is left at each timestep.
    """
    target = batch.answers
    if target is None:
        target = diffusion.target(prediction_type, batch.latents, batch.noise, batch.timesteps, schedule)
    threshold = None
    if loss.loss_type in diffusion.WITH_THRESHOLD:
        threshold = diffusion.huber_threshold(batch.timesteps, schedule, loss.huber_schedule, loss.huber_c,
                                              loss.huber_scale)
    errors = diffusion.distance(prediction, target, loss.loss_type, threshold)
    if batch.masks is not None:
        errors = errors * diffusion.mask_weights(batch.masks, loss.normalize_masked_area_loss)
    weights = diffusion.loss_weights(prediction_type, batch.timesteps, schedule, loss.min_snr_gamma,
                                     loss.debiased_estimation, loss.v_pred_like_loss,
                                     loss.scale_v_pred_loss_like_noise_pred)
    return errors.mean(dim=(1, 2, 3)) * weights
