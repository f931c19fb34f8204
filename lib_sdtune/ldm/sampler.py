"""Two samplers, with the numbers of the WebUI: the same seed and steps give the same picture there, up to rounding.

A sampler turns noise into latents, both (B, 4, h, w) float32; `predict(x, t)` answers the guided noise for x at
timesteps (B,).
"""

from collections.abc import Callable, Iterable, Sequence

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.registry import nearest

Predict = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Sampler = Callable[[Predict, "Noise", torch.Tensor, int], torch.Tensor]


class Noise:
    """A stream of noise per picture: what picture i sees depends on its own seed alone. Drawn on the CPU."""

    def __init__(self, seeds: Iterable[int], shape: Sequence[int]) -> None:
        self.generators, self.shape = [torch.Generator().manual_seed(seed) for seed in seeds], shape

    def next(self) -> torch.Tensor:
        """(B, *shape) float32."""
        return torch.stack([torch.randn(self.shape, generator=generator) for generator in self.generators])


# what the WebUI leaves at the last timestep, where none would make its noise level infinite
MIN_SIGNAL = 4.8973451890853435e-08


def finite(alphas_cumprod: torch.Tensor) -> torch.Tensor:
    """A schedule whose noise levels are all finite, also where the last timestep is pure noise."""
    return alphas_cumprod.clamp(min=MIN_SIGNAL)


def ddim(predict: Predict, noise: Noise, alphas_cumprod: torch.Tensor, steps: int) -> torch.Tensor:
    """Song et al. 2020, arXiv 2010.02502, eq. 12 with eta 0.

    Like the WebUI's, it leaves the last of its timesteps out, and makes a few steps more where 1000 / `steps` is
    uneven.
    """
    timesteps = [min(t + 1, 999) for t in range(0, 1000, 1000 // max(steps, 2))]
    x = noise.next()
    for t, before in zip(timesteps[:0:-1], timesteps[-2::-1], strict=True):
        abar, abar_before = alphas_cumprod[t], alphas_cumprod[before]
        eps = predict(x, torch.full((len(x),), t))
        x0 = (x - (1 - abar).sqrt() * eps) / abar.sqrt()
        x = abar_before.sqrt() * x0 + (1 - abar_before).sqrt() * eps
    return x


def euler_a(predict: Predict, noise: Noise, alphas_cumprod: torch.Tensor, steps: int) -> torch.Tensor:
    """Euler steps in the noise level sigma (Karras et al. 2022, arXiv 2206.00364), with fresh noise after each."""
    sigmas = ((1 - alphas_cumprod) / alphas_cumprod).sqrt()
    times = torch.linspace(len(sigmas) - 1, 0, steps)
    levels = [*between(sigmas, times).tolist(), 0.0]
    x = noise.next() * levels[0]
    for t, sigma, following in zip(times, levels, levels[1:], strict=False):
        eps = predict(x / (sigma**2 + 1) ** 0.5, t.expand(len(x)))
        up = min(following, (following**2 * (sigma**2 - following**2) / sigma**2) ** 0.5)
        down = (following**2 - up**2) ** 0.5
        x = x + eps * (down - sigma)
        if following:
            x = x + noise.next() * up
    return x


def between(sigmas: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """Sigmas at fractional timesteps, interpolated in their logarithm."""
    low, high, part = times.floor().long(), times.ceil().long(), times.frac()
    logs = sigmas.log()
    return ((1 - part) * logs[low] + part * logs[high]).exp()


SAMPLERS = {"Euler a": euler_a, "DDIM": ddim}


def find(name: str) -> tuple[str, Sampler]:
    """(name, sampler); no name means Euler a, the WebUI's classic."""
    names = {key.lower(): key for key in SAMPLERS}
    if (name or "Euler a").lower() not in names:
        raise UserError(f"There is no sampler called {name!r}{nearest(name, SAMPLERS)}; there are: "
                        f"{', '.join(SAMPLERS)}.")
    key = names[(name or "Euler a").lower()]
    return key, SAMPLERS[key]


def noise_of(prediction: torch.Tensor, x: torch.Tensor, timesteps: torch.Tensor, alphas_cumprod: torch.Tensor,
             prediction_type: str) -> torch.Tensor:
    """The noise that a prediction for x, at timesteps that may be fractional, speaks of."""
    if prediction_type == "epsilon":
        return prediction
    sigma = between(((1 - alphas_cumprod) / alphas_cumprod).sqrt(), timesteps.float().cpu())
    abar = (1 / (1 + sigma**2)).to(x)[:, None, None, None]
    return abar.sqrt() * prediction + (1 - abar).sqrt() * x
