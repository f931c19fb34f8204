"""The diffusion arithmetic that every method shares: noise, targets, and how much each timestep counts.

Latents, noise and predictions are (B, 4, h, w); timesteps are (B,) integers in 0..999; `alphas_cumprod` is (1000,).
"""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F


def expand(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(B,) as (B, 1, 1, 1), for broadcasting over pictures."""
    return values.view(-1, *[1] * (like.ndim - 1)).to(like)


def add_noise(latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, alphas_cumprod: torch.Tensor
              ) -> torch.Tensor:
    """x_t = sqrt(abar) x_0 + sqrt(1 - abar) noise (Ho et al. 2020, arXiv 2006.11239, eq. 4)."""
    abar = expand(alphas_cumprod[timesteps], latents)
    return abar.sqrt() * latents + (1 - abar).sqrt() * noise


def sample_timestep(rng: torch.Generator, low: int, high: int, sampling: str = "uniform", mean: float = 0.0,
                    std: float = 1.0) -> int:
    """A timestep from `low` up to below `high`: each as likely as another, or by a logit-normal distribution (Esser et
    al. 2024, arXiv 2403.03206, section 3.1), the sigmoid of a normal one with `mean` and `std`.
    """
    if sampling != "logit_normal":
        return int(torch.randint(low, high, (1,), generator=rng))
    share = torch.sigmoid(mean + std * torch.randn(1, generator=rng, dtype=torch.float64))
    return min(high - 1, low + int((high - low) * share))


def target(prediction_type: str, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor,
           alphas_cumprod: torch.Tensor) -> torch.Tensor:
    """(B, 4, h, w) what the UNet should predict: the noise where `prediction_type` is "epsilon", else the velocity
    (Salimans & Ho 2022, arXiv 2202.00512).
    """
    if prediction_type == "epsilon":
        return noise
    abar = expand(alphas_cumprod[timesteps], latents)
    return abar.sqrt() * noise - (1 - abar).sqrt() * latents


def snr(timesteps: torch.Tensor, alphas_cumprod: torch.Tensor) -> torch.Tensor:
    """Signal-to-noise ratio, abar / (1 - abar), (B,)."""
    abar = alphas_cumprod[timesteps]
    return abar / (1 - abar).clamp(min=1e-8)


def loss_weights(prediction_type: str, timesteps: torch.Tensor, alphas_cumprod: torch.Tensor,
                 min_snr_gamma: float = 0.0, debiased_estimation: bool = False, v_pred_like_loss: float = 0.0,
                 scale_v_pred_loss_like_noise_pred: bool = False) -> torch.Tensor:
    """(B,) how much each timestep counts: min-SNR-gamma (arXiv 2303.09556) and debiased estimation (arXiv
    2310.08442).

    The last two are sd-scripts': with scale = snr / (snr + 1) the loss is added once more, times v_pred_like_loss /
    scale, or multiplied by scale.
    """
    ratio = snr(timesteps, alphas_cumprod)
    weights = torch.ones_like(ratio)
    if min_snr_gamma:
        capped = ratio.clamp(max=min_snr_gamma)
        weights = weights * (capped / ratio.clamp(min=1e-8) if prediction_type == "epsilon" else capped / (ratio + 1))
    if v_pred_like_loss or scale_v_pred_loss_like_noise_pred:
        bounded = ratio.clamp(max=1000)
        scale = bounded / (bounded + 1)
        weights = weights * scale if scale_v_pred_loss_like_noise_pred else weights * (1 + v_pred_like_loss / scale)
    if debiased_estimation:
        bounded = ratio.clamp(max=1000)
        weights = weights * (bounded.rsqrt() if prediction_type == "epsilon" else 1 / (bounded + 1))
    return weights


WITH_THRESHOLD = ("huber", "smooth_l1")


def huber_threshold(timesteps: torch.Tensor, alphas_cumprod: torch.Tensor, schedule: str = "snr", c: float = 0.1,
                    scale: float = 1.0) -> torch.Tensor:
    """(B,) the error from which huber and smooth_l1 grow like l1, as sd-scripts' huber_schedule has it.

    snr: from 1 where there is no noise down to `c` at pure noise; exponential: from `scale` down to `scale` * c;
    constant: `scale` * c. `scale` does not count for snr, as there.
    """
    if schedule == "constant":
        return torch.full(timesteps.shape, c * scale, device=timesteps.device)
    if schedule == "exponential":
        return scale * torch.exp(math.log(c) / len(alphas_cumprod) * timesteps)
    abar = alphas_cumprod[timesteps]
    return (1 - c) / (1 + ((1 - abar) / abar).sqrt()) ** 2 + c


def distance(prediction: torch.Tensor, target: torch.Tensor, loss_type: str = "l2",
             threshold: torch.Tensor | None = None) -> torch.Tensor:
    """Loss of every element, (B, 4, h, w) float32. `threshold` (B,), which only huber and smooth_l1 need, is where they
    begin to grow like l1; smooth_l1 is huber / threshold (sd-scripts).
    """
    prediction, target = prediction.float(), target.float()
    if loss_type == "l2":
        return F.mse_loss(prediction, target, reduction="none")
    if loss_type == "l1":
        return F.l1_loss(prediction, target, reduction="none")
    assert threshold is not None, f"{loss_type} needs a threshold"
    threshold = expand(threshold, prediction)
    beyond = ((prediction - target) ** 2 + threshold**2).sqrt() - threshold  # pseudo-Huber: smooth everywhere
    return 2 * threshold * beyond if loss_type == "huber" else 2 * beyond


def mask_weights(masks: torch.Tensor, normalize: bool = False) -> torch.Tensor:
    """(B, 1, h, w) what each latent's error is multiplied by, before the mean over all of them.

    The mask itself, as in sd-scripts: every latent that is seen counts the same, in whichever picture. normalize: each
    picture counts the same, however little of it is seen (OneTrainer's normalize_masked_area_loss).
    """
    return masks / masks.mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6) if normalize else masks


def noise_offset_of(latents: torch.Tensor, noise_offset: float, adaptive_noise_scale: float = 0.0
                    ) -> float | torch.Tensor:
    """The strength of the noise offset: as it is set, or (C, 1, 1), higher in channels of a picture whose mean is far
    from 0 (sd-scripts' adaptive_noise_scale).
    """
    if not adaptive_noise_scale:
        return noise_offset
    means = latents.mean(dim=(1, 2), keepdim=True).abs()
    return (noise_offset + adaptive_noise_scale * means).clamp(min=0)


def noise_like(shape: Sequence[int], generator: torch.Generator, noise_offset: float | torch.Tensor = 0.0,
               multires_iterations: int = 0, multires_discount: float = 0.3) -> torch.Tensor:
    """One picture's noise, (C, h, w), drawn on the CPU so that every device sees the same.

    noise_offset shifts whole channels (crosslabs.org, "Diffusion with offset noise"); multires_iterations adds
    octaves, the first in full size, each 2 to 4 times coarser and `multires_discount` times weaker than the last, and
    normalises to variance 1 (sd-scripts' pyramid_noise_like).
    """
    noise = torch.randn(shape, generator=generator)
    if isinstance(noise_offset, torch.Tensor) or noise_offset:
        noise = noise + noise_offset * torch.randn(shape[0], 1, 1, generator=generator)
    height, width = shape[-2:]
    for octave in range(multires_iterations):
        ratio = float(torch.rand(1, generator=generator)) * 2 + 2
        coarse = max(1, int(height / ratio**octave)), max(1, int(width / ratio**octave))
        layer = torch.randn(1, shape[0], *coarse, generator=generator)
        layer = F.interpolate(layer, size=(height, width), mode="bilinear", align_corners=False)[0]
        noise = noise + multires_discount**octave * layer
        if 1 in coarse:
            break
    return noise / noise.std() if multires_iterations else noise


def zero_terminal_snr(alphas_cumprod: torch.Tensor) -> torch.Tensor:
    """The schedule rescaled so that the last timestep is pure noise (Lin et al. 2023, arXiv 2305.08891, algorithm 1).
    """
    root = alphas_cumprod.double().sqrt()
    first, last = root[0].clone(), root[-1].clone()
    return (((root - last) * first / (first - last)) ** 2).to(alphas_cumprod.dtype)


def alphas_cumprod() -> torch.Tensor:
    """(1000,) float32: how much signal is left at each timestep, of Stable Diffusion's "scaled linear" schedule."""
    betas = torch.linspace(0.00085**0.5, 0.0120**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()
