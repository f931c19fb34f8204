"""What pictures are compared by. Each encoder says honestly what it is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from einops import rearrange
from PIL import ImageOps
from PIL.Image import Image
from torch import nn

from lib_sdtune import diffusion
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.randomness import generator
from lib_sdtune.sentences import phrase

MAX_SIDE = 256  # pixels a side: what a diffusion model recognises does not need more
SEEN_AT, DRAWS = 150, 2  # little noise, and how often it is drawn
ASKED_AT = (300, 500, 700)  # timesteps at which prompts make a difference
BATCH = 8


class Encoder(Protocol):
    """name: what a person is told it is."""

    name: str

    def latents(self, images: Sequence[Image]) -> torch.Tensor:
        """(N, 4, h, w) float32, on the CPU: the pictures themselves, for how alike they are."""

    def images(self, images: Sequence[Image]) -> torch.Tensor:
        """(N, D) features, on the CPU."""

    def recognise(self, images: Sequence[Image], prompts: Sequence[str]) -> torch.Tensor:
        """(N, P), the higher the better a prompt fits."""


class ModelEncoder:
    """The model's own features: what its UNet makes of a picture with a little noise (as in Tang et al. 2023, arXiv
    2306.03881).

    Prompts are recognised by the loss they leave (Li et al. 2023, arXiv 2303.16203). `model` is a bare `LoadedModel`.
    """

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self.side = min(MAX_SIDE, model.resolution)
        self.schedule = model.schedule.to(model.device, torch.float32)
        self.name = phrase(f"the UNet of {model.name}")
        self.encoded: tuple[Sequence[Image], torch.Tensor] | None = None

    def latents(self, images: Sequence[Image]) -> torch.Tensor:
        """(N, 4, h, w) float32, on the CPU; those of the last pictures are remembered."""
        if self.encoded is None or self.encoded[0] is not images:
            self.encoded = images, self.encode(images)
        return self.encoded[1]

    @torch.no_grad()
    def encode(self, images: Sequence[Image]) -> torch.Tensor:
        weight = next(self.model.vae.parameters())
        latents = []
        for images_of_batch in batches(images):
            batch = pixels(images_of_batch, self.side).to(weight.device, weight.dtype)
            latents.append(self.model.family.encode_images(self.model, batch)[0].float().cpu())
        return torch.cat(latents)

    @torch.no_grad()
    def images(self, images: Sequence[Image]) -> torch.Tensor:
        """(N, D): means and standard deviations over the picture of what the blocks around the UNet's middle put out.
        """
        features = []
        for batch in batches(self.latents(images)):
            drawn = []
            for number in range(DRAWS):
                noise = self.noise(batch.shape, "features", number)
                with recorded_outputs(self.layers()) as outputs:
                    self.predict(batch, noise, SEEN_AT, [""])
                drawn.append(torch.cat([summary(output) for output in outputs], dim=1))
            features.append(torch.stack(drawn).mean(0).cpu())
        return torch.cat(features)

    def layers(self) -> list[nn.Module]:
        unet: Any = self.model.unet
        blocks = unet.output_blocks
        return [unet.middle_block, blocks[len(blocks) // 3], blocks[len(blocks) * 2 // 3]]

    @torch.no_grad()
    def recognise(self, images: Sequence[Image], prompts: Sequence[str]) -> torch.Tensor:
        """(N, P) the loss that each prompt leaves, negated."""
        rows = []
        for batch in batches(self.latents(images)):
            columns = []
            for prompt in prompts:
                loss = torch.zeros(len(batch), device=self.model.device)
                for timestep in ASKED_AT:
                    noise = self.noise(batch.shape, "prompts", timestep)
                    prediction = self.predict(batch, noise, timestep, [prompt])
                    times = torch.full((len(batch),), timestep, device=self.model.device)
                    target = diffusion.target(self.model.prediction_type, batch.to(prediction.device), noise, times,
                                              self.schedule)
                    loss = loss + (prediction - target).square().mean(dim=(1, 2, 3))
                columns.append(-loss.cpu())
            rows.append(torch.stack(columns, dim=1))
        return torch.cat(rows)

    def noise(self, shape: torch.Size, purpose: str, number: int) -> torch.Tensor:
        """One noise for all pictures, so that only the pictures differ."""
        rng = generator(0, purpose, number)
        return torch.randn((1, *shape[1:]), generator=rng).expand(shape).to(self.model.device)

    def predict(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int, prompts: list[str]) -> torch.Tensor:
        """(N, 4, h, w) float32: what the UNet predicts of latents (N, 4, h, w) with that noise, under one prompt."""
        model, count = self.model, len(latents)
        times = torch.full((count,), timestep, device=model.device)
        noisy = diffusion.add_noise(latents.to(model.device), noise, times, self.schedule)
        conditioning = model.family.encode_text(model, prompts).to(model.device, model.dtype)
        conditioning.context = conditioning.context.expand(count, -1, -1)
        if conditioning.vector is not None:
            conditioning.vector = conditioning.vector.expand(count, -1)
        return model.family.predict(model, noisy.to(model.dtype), times, conditioning).float()


@contextmanager
def recorded_outputs(layers: Sequence[nn.Module]) -> Iterator[list[torch.Tensor]]:
    """Yields the list of these layers' outputs, float32, in the order of the layers; it is filled inside."""
    outputs = [torch.empty(0)] * len(layers)

    def record(index: int) -> Any:
        def hook(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            outputs[index] = output.float()
        return hook

    hooks = [layer.register_forward_hook(record(index)) for index, layer in enumerate(layers)]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def summary(output: torch.Tensor) -> torch.Tensor:
    """(N, 2C) of (N, C, h, w): every channel's mean and standard deviation over the picture."""
    flat = output.flatten(2)
    return torch.cat([flat.mean(2), flat.std(2, unbiased=False)], dim=1)


def pixels(images: Sequence[Image], side: int) -> torch.Tensor:
    """(N, 3, side, side) in -1..1: the middle square of each picture."""
    squares = [np.asarray(ImageOps.fit(image.convert("RGB"), (side, side)), np.float32) for image in images]
    return rearrange(torch.from_numpy(np.stack(squares)), "b h w c -> b c h w") / 127.5 - 1


def batches(items: Any) -> list[Any]:
    """Slices of at most `BATCH` of what can be sliced: a list of images, or a tensor."""
    return [items[start:start + BATCH] for start in range(0, len(items), BATCH)]
