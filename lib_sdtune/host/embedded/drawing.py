"""Pictures from requests: prompts to conditioning, guided sampling, latents to PIL images with infotext."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image

from lib_sdtune.errors import UserError
from lib_sdtune.families.base import Conditioning
from lib_sdtune.formats import infotext
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.embedded import addons
from lib_sdtune.host.watcher import watcher
from lib_sdtune.ldm import sampler as samplers
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.prompts import emphasis, tags

AREA = 512 * 512  # pixels that are drawn at once


class Cancelled(Exception):
    """Nobody wants the pictures any more."""


def pictures(model: LoadedModel, requests: Sequence[SampleRequest], folder: Callable[[str], Path],
             clip_skip: int = 1) -> Iterator[Image.Image]:
    """One image per `SampleRequest`, in order; neighbours that differ only in words and seed are drawn together.

    The pictures end at the sampler's next step where whoever watches cancels them (`host.watcher`).
    """
    for request in requests:
        check(request, folder)
    for _, group in itertools.groupby(requests, alike):
        group = list(group)
        size = max(1, AREA // (group[0].width * group[0].height))
        for start in range(0, len(group), size):
            try:
                images = draw(model, group[start:start + size], folder, clip_skip)
            except Cancelled:
                return
            yield from images


def check(request: SampleRequest, folder: Callable[[str], Path]) -> None:
    """UserError for what can be told without a model."""
    samplers.find(request.sampler)
    for side in ("width", "height"):
        if getattr(request, side) % 8 or getattr(request, side) < 8:
            raise UserError(f"A picture's {side} must be a multiple of 8, and {getattr(request, side)} is not.")
    addons.check(folder, tags(request.prompt)[1])


def alike(request: SampleRequest) -> tuple:
    used = tags(request.prompt)[1]
    return request.width, request.height, request.steps, request.cfg_scale, request.sampler, str(used)


@torch.no_grad()
def draw(model: LoadedModel, requests: Sequence[SampleRequest], folder: Callable[[str], Path],
         clip_skip: int) -> list[Image.Image]:
    """The images of requests that are alike."""
    images, encodings = [], {}
    with addons.attached(model, folder, tags(requests[0].prompt)[1]) as facts:
        jobs = [(request, encoded(model, tags(request.prompt)[0], clip_skip, encodings),
                 encoded(model, request.negative_prompt, clip_skip, encodings, negative=True)) for request in requests]
        for _, group in itertools.groupby(jobs, lambda job: [part.context.shape for part in job[1:]]):
            members, positive, negative = zip(*group, strict=True)
            images += sample(model, members, together(positive), together(negative))
    for request, image in zip(requests, images, strict=True):
        image.info["parameters"] = infotext.write(request.prompt, request.negative_prompt, {
            "Steps": request.steps, "Sampler": samplers.find(request.sampler)[0], "CFG scale": request.cfg_scale,
            "Seed": request.seed, "Size": f"{request.width}x{request.height}", "Model hash": model.hash or None,
            "Model": model.name, "Clip skip": clip_skip if clip_skip > 1 else None, **facts,
            **addons.embedding_hashes(model, folder("embeddings"), [tags(request.prompt)[0], request.negative_prompt])})
    return images


def encoded(model: LoadedModel, text: str, clip_skip: int, encodings: dict[tuple[str, bool], Conditioning],
            negative: bool = False) -> Conditioning:
    """Each prompt by itself, so that a picture does not depend on its neighbours; once each, kept in `encodings`."""
    if (text, negative) not in encodings:
        encodings[text, negative] = model.family.encode_prompts(model, [emphasis(text)], clip_skip, negative)
    return encodings[text, negative]


def sample(model: LoadedModel, requests: Sequence[SampleRequest], positive: Conditioning,
           negative: Conditioning) -> list[Image.Image]:
    first, (_, sampler) = requests[0], samplers.find(requests[0].sampler)
    shape = (model.family.latent_channels, first.height // 8, first.width // 8)
    noise = samplers.Noise([request.seed for request in requests], shape)
    schedule = samplers.finite(model.schedule.cpu())
    predict = guided(model, positive, negative, first.cfg_scale, schedule)
    return decode(model, sampler(predict, noise, schedule, first.steps))


def together(parts: Sequence[Conditioning]) -> Conditioning:
    vectors = [part.vector for part in parts]
    return Conditioning(torch.cat([part.context for part in parts]), None if vectors[0] is None else torch.cat(vectors))


def guided(model: LoadedModel, positive: Conditioning, negative: Conditioning, cfg_scale: float,
           schedule: torch.Tensor) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598): from the negative prompt's prediction past the
    positive one's.
    """
    same = positive.context.shape == negative.context.shape
    both = together([negative, positive]) if same else None

    def predict_one(x: torch.Tensor, t: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        conditioning = conditioning.to(x.device, model.dtype)
        return model.family.predict(model, x.to(model.dtype), t, conditioning).float()

    def predict(x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        if watcher().cancelled():
            raise Cancelled
        latents, t = x.to(model.device), timesteps.to(model.device)
        if cfg_scale == 1:
            out = predict_one(latents, t, positive)
        else:
            if same:
                uncond, cond = predict_one(torch.cat([latents, latents]), torch.cat([t, t]), both).chunk(2)
            else:
                uncond, cond = predict_one(latents, t, negative), predict_one(latents, t, positive)
            out = uncond + cfg_scale * (cond - uncond)
        return samplers.noise_of(out, latents, timesteps, schedule, model.prediction_type).to(x.device)

    return predict


def decode(model: LoadedModel, latents: torch.Tensor) -> list[Image.Image]:
    """PIL images of scaled latents."""
    vae = model.vae
    z = (latents / model.family.scale_factor).to(model.device, vae.post_quant_conv.weight.dtype)
    pixels = vae.decoder(vae.post_quant_conv(z)).float().cpu()
    bytes_ = (((pixels + 1) / 2).clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1)
    return [Image.fromarray(picture.numpy()) for picture in bytes_]
