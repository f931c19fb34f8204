"""The diffusion arithmetic that every method shares: noise, targets, and how much each timestep counts.

Latents, noise and predictions are (B, 4, h, w); timesteps are (B,) integers in 0..999; `alphas_cumprod` is (1000,).
"""

import torch
from torch.nn import functional as F


def expand(values, like):
    """(B,) as (B, 1, 1, 1), for broadcasting over pictures."""
    return values.view(-1, *[1] * (like.ndim - 1)).to(like)


def add_noise(latents, noise, timesteps, alphas_cumprod):
    """x_t = sqrt(abar) x_0 + sqrt(1 - abar) noise (Ho et al. 2020, arXiv 2006.11239, eq. 4)."""
    abar = expand(alphas_cumprod[timesteps], latents)
    return abar.sqrt() * latents + (1 - abar).sqrt() * noise


def target(prediction_type, latents, noise, timesteps, alphas_cumprod):
    """What the UNet should answer: the noise, or the velocity (Salimans & Ho 2022, arXiv 2202.00512)."""
    if prediction_type == "epsilon":
        return noise
    abar = expand(alphas_cumprod[timesteps], latents)
    return abar.sqrt() * noise - (1 - abar).sqrt() * latents


def snr(timesteps, alphas_cumprod):
    """Signal to noise, abar / (1 - abar), (B,)."""
    abar = alphas_cumprod[timesteps]
    return abar / (1 - abar).clamp(min=1e-8)


def loss_weights(prediction_type, timesteps, alphas_cumprod, min_snr_gamma=0.0, debiased_estimation=False):
    """(B,) how much each timestep counts: min-SNR-gamma (arXiv 2303.09556) and debiased estimation (arXiv 2310.08442)."""
    ratio = snr(timesteps, alphas_cumprod)
    weights = torch.ones_like(ratio)
    if min_snr_gamma:
        capped = ratio.clamp(max=min_snr_gamma)
        weights = weights * (capped / ratio.clamp(min=1e-8) if prediction_type == "epsilon" else capped / (ratio + 1))
    if debiased_estimation:
        bounded = ratio.clamp(max=1000)
        weights = weights * (bounded.rsqrt() if prediction_type == "epsilon" else 1 / (bounded + 1))
    return weights


def distance(prediction, wanted, loss_type="l2", delta=0.1):
    """Loss of every element. huber and smooth_l1 are scaled so that small errors count as in l2."""
    prediction, wanted = prediction.float(), wanted.float()
    if loss_type == "l2":
        return F.mse_loss(prediction, wanted, reduction="none")
    if loss_type == "l1":
        return F.l1_loss(prediction, wanted, reduction="none")
    if loss_type == "huber":  # pseudo-Huber: smooth everywhere
        return 2 * delta * (((prediction - wanted) ** 2 + delta**2).sqrt() - delta)
    return 2 * delta * F.smooth_l1_loss(prediction, wanted, reduction="none", beta=delta)


def noise_like(shape, generator, noise_offset=0.0, multires_iterations=0, multires_discount=0.3):
    """One picture's noise, (C, h, w), drawn on the CPU so that every device sees the same.

    noise_offset shifts whole channels (crosslabs.org, "Diffusion with offset noise"); multires_iterations adds coarser
    octaves, each `multires_discount` times the last, and normalises to variance 1 (sd-scripts' multires_noise).
    """
    noise = torch.randn(shape, generator=generator)
    if noise_offset:
        noise = noise + noise_offset * torch.randn(shape[0], 1, 1, generator=generator)
    height, width = shape[-2:]
    for octave in range(1, multires_iterations + 1):
        coarse = max(1, height >> octave), max(1, width >> octave)
        layer = torch.randn(1, shape[0], *coarse, generator=generator)
        noise = noise + multires_discount**octave * F.interpolate(layer, size=(height, width), mode="bilinear", align_corners=False)[0]
        if coarse == (1, 1):
            break
    return noise / noise.std() if multires_iterations else noise


def zero_terminal_snr(alphas_cumprod):
    """The schedule rescaled so that the last timestep is pure noise (Lin et al. 2023, arXiv 2305.08891, algorithm 1)."""
    root = alphas_cumprod.double().sqrt()
    first, last = root[0].clone(), root[-1].clone()
    return (((root - last) * first / (first - last)) ** 2).to(alphas_cumprod.dtype)
