"""One micro-batch: cached latents with the noise, timestep and weight that chance gives each example at this step."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lib_sdtune import diffusion
from lib_sdtune.config import Config
from lib_sdtune.data.cache import LatentCache
from lib_sdtune.data.example import Example
from lib_sdtune.devices import upload
from lib_sdtune.randomness import generator
from lib_sdtune.sections.noise import NoiseConfig
from lib_sdtune.training.timestep_sampling import TimestepSampling


@dataclass
class Batch:
    """latents, noise, perturbation (B, 4, h, w); timesteps (B,); weights (B,); masks (B, 1, h, w) or None.

    sizes: (B, 6) height and width of the original, top and left of the cut, height and width of the target, in pixels.
    concat: (B, C, h, w) further channels that the UNet reads, or None.
    unconditional: (B,) which examples are shown under no prompt at all, or None where none is; see `Example`.
    answers: (B, 4, h, w) what shall be predicted, if that is not the noise that was added.
    """

    latents: torch.Tensor
    noise: torch.Tensor
    perturbation: torch.Tensor | None
    timesteps: torch.Tensor
    weights: torch.Tensor
    masks: torch.Tensor | None
    captions: list
    examples: list
    sizes: torch.Tensor
    concat: torch.Tensor | None = None
    unconditional: torch.Tensor | None = None
    answers: torch.Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        moved = {
            name: upload(value, device)
            for name, value in vars(self).items()
            if isinstance(value, torch.Tensor)
        }
        return Batch(**(vars(self) | moved))


def joined(batches: Sequence[Batch]) -> Batch:
    """One batch of all of them, for one forward of the model; weights, masks and answers stay with each."""
    if len(batches) == 1:
        return batches[0]

    def all_of(name: str) -> torch.Tensor | None:
        parts = [getattr(batch, name) for batch in batches]
        return None if parts[0] is None else torch.cat(parts)

    tensors: dict = {name: all_of(name) for name in ("latents", "noise", "perturbation", "timesteps", "weights",
                                                     "sizes", "concat")}
    silent = [torch.zeros_like(batch.timesteps, dtype=torch.bool) if batch.unconditional is None else
              batch.unconditional for batch in batches]
    is_any = any(batch.unconditional is not None for batch in batches)
    return Batch(**tensors, masks=None, captions=[caption for batch in batches for caption in batch.captions],
                 examples=[example for batch in batches for example in batch.examples],
                 unconditional=torch.cat(silent) if is_any else None)


def draw(examples: list[Example], step: int, cache: LatentCache, config: Config,
         timestep_sampling: TimestepSampling | None = None) -> Batch:
    """The batch of `examples` at micro-step `step`, on the CPU. A pure function of its arguments and the cached
    latents.

    timestep_sampling: that of the run; without it none is preferred for its loss.
    """
    timestep_sampling = timestep_sampling or TimestepSampling(config.noise)
    per_example = [draw_one(example, step, cache, config, timestep_sampling) for example in examples]
    latents, noise, perturbation, timesteps, importance, masks = zip(*per_example, strict=True)
    weighted = torch.tensor([example.weight * factor for example, factor in zip(examples, importance, strict=True)])
    return Batch(
        torch.stack(latents),
        torch.stack(noise),
        stacked(perturbation),
        torch.tensor(timesteps),
        weighted,
        stacked(masks),
        [example.caption for example in examples],
        list(examples),
        sizes(examples),
        concats(examples, cache),
        unconditional(examples),
    )


def sizes(examples: list[Example]) -> torch.Tensor:
    """(B, 6) float32, see `Batch`; a mirrored picture counts from its other side, as in Podell et al. 2023, section
    2.2.
    """
    return torch.tensor([sizes_of(example) for example in examples], dtype=torch.float32)


def sizes_of(example: Example) -> tuple[int, ...]:
    (width, height), (left, top) = example.size, example.crop
    if example.flip:
        left = example.scaled[0] - width - left
    return example.picture.height, example.picture.width, top, left, height, width


def unconditional(examples: list[Example]) -> torch.Tensor | None:
    """(B,) bool, see `Batch`."""
    silent = [example.unconditional for example in examples]
    return torch.tensor(silent) if any(silent) else None


def concats(examples: list[Example], cache: LatentCache) -> torch.Tensor | None:
    """(B, C, h, w), or None for models that read the noisy latents alone."""
    return stacked([cache.concat(example) for example in examples])


def draw_one(example: Example, step: int, cache: LatentCache, config: Config,
             timestep_sampling: TimestepSampling) -> tuple:
    """(latents, noise, perturbation, timestep, what its loss is multiplied by, mask) of one example; see `Batch`."""
    rng = generator(config.train.seed, "example", step, example.index, example.occurrence)
    mean, std = cache.latents(example)
    latents = sampled(mean, std, example, rng, config)
    settings = config.noise
    noise = diffusion.noise_like(
        mean.shape,
        rng,
        noise_offset(latents, settings, rng),
        settings.multires_noise_iterations,
        settings.multires_noise_discount,
    )
    gamma = strength(settings.ip_noise_gamma, settings.ip_noise_gamma_random_strength, rng)
    perturbation = torch.randn(mean.shape, generator=rng) * gamma if settings.ip_noise_gamma else None
    return latents, noise, perturbation, *timestep_sampling.draw(rng), cache.mask(example)


def noise_offset(latents: torch.Tensor, settings: NoiseConfig, rng: torch.Generator) -> float | torch.Tensor:
    offset = strength(settings.noise_offset, settings.noise_offset_random_strength, rng)
    return diffusion.noise_offset_of(latents, offset, settings.adaptive_noise_scale) if settings.noise_offset else 0.0


def strength(most: float, random: bool, rng: torch.Generator) -> float:
    """As it is set, or drawn from 0 up to that."""
    return most * float(torch.rand(1, generator=rng)) if most and random else most


def sampled(
    mean: torch.Tensor, std: torch.Tensor, example: Example, rng: torch.Generator, config: Config
) -> torch.Tensor:
    """One draw of a picture's latents; `rng` goes on in the same way whatever the setting."""
    noise, how = torch.randn(mean.shape, generator=rng), config.dataset.latent_sampling
    if how == "deterministic":
        return mean
    if how == "once":
        noise = torch.randn(mean.shape, generator=generator(config.train.seed, "latents", example.index))
    return mean + std * noise


def stacked(values: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """One tensor, or None where nobody has one; those without a mask count everywhere."""
    present = [value for value in values if value is not None]
    if not present:
        return None
    return torch.stack([torch.ones_like(present[0]) if value is None else value for value in values])
