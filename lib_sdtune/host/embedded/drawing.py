"""Pictures from requests: prompts to conditioning, guided sampling, latents to PIL images with infotext."""

import itertools

import torch
from PIL import Image

from lib_sdtune.errors import UserError
from lib_sdtune.families.base import Conditioning
from lib_sdtune.formats import infotext
from lib_sdtune.host.embedded import addons
from lib_sdtune.ldm import sampler as samplers
from lib_sdtune.prompts import emphasis, tags

AREA = 512 * 512  # pixels that are drawn at once


def pictures(model, requests, folder, clip_skip=1):
    """One image per `SampleRequest`, in order; neighbours that differ only in words and seed are drawn together."""
    for request in requests:
        check(request)
        addons.check(folder, tags(request.prompt)[1])
    for _, group in itertools.groupby(requests, alike):
        group = list(group)
        size = max(1, AREA // (group[0].width * group[0].height))
        for start in range(0, len(group), size):
            yield from draw(model, group[start:start + size], folder, clip_skip)


def check(request):
    samplers.find(request.sampler)
    for side in ("width", "height"):
        if getattr(request, side) % 8 or getattr(request, side) < 8:
            raise UserError(f"A picture's {side} must be a multiple of 8, and {getattr(request, side)} is not.")


def alike(request):
    used = tags(request.prompt)[1]
    return request.width, request.height, request.steps, request.cfg_scale, request.sampler, str(used)


@torch.no_grad()
def draw(model, requests, folder, clip_skip):
    """The images of requests that are alike."""
    images, known = [], {}
    with addons.attached(model, folder, tags(requests[0].prompt)[1]) as facts:
        told = [(request, encoded(model, tags(request.prompt)[0], clip_skip, known),
                 encoded(model, request.negative_prompt, clip_skip, known, negative=True)) for request in requests]
        for _, group in itertools.groupby(told, lambda item: [part.context.shape for part in item[1:]]):
            members, positive, negative = zip(*group, strict=True)
            images += sample(model, members, together(positive), together(negative))
    for request, image in zip(requests, images, strict=True):
        image.info["parameters"] = infotext.write(request.prompt, request.negative_prompt, {
            "Steps": request.steps, "Sampler": samplers.find(request.sampler)[0], "CFG scale": request.cfg_scale, "Seed": request.seed,
            "Size": f"{request.width}x{request.height}", "Model hash": model.hash or None, "Model": model.name,
            "Clip skip": clip_skip if clip_skip > 1 else None, **facts})
    return images


def encoded(model, text, clip_skip, known, negative=False):
    """Each prompt by itself, so that a picture does not depend on its neighbours; once each, kept in `known`."""
    if (text, negative) not in known:
        known[text, negative] = model.family.encode_prompts(model, [emphasis(text)], clip_skip, negative)
    return known[text, negative]


def sample(model, requests, positive, negative):
    first, (_, sampler) = requests[0], samplers.find(requests[0].sampler)
    noise = samplers.Noise([r.seed for r in requests], (model.family.latent_channels, first.height // 8, first.width // 8))
    schedule = samplers.finite(model.schedule.cpu())
    return decode(model, sampler(guided(model, positive, negative, first.cfg_scale, schedule), noise, schedule, first.steps))


def together(parts):
    vectors = [part.vector for part in parts]
    return Conditioning(torch.cat([part.context for part in parts]), None if vectors[0] is None else torch.cat(vectors))


def guided(model, positive, negative, cfg_scale, schedule):
    """Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598): from the negative prompt's answer past the positive one's."""
    same = positive.context.shape == negative.context.shape
    both = together([negative, positive]) if same else None

    def answer(x, t, told):
        told = told.to(x.device, model.dtype)
        return model.family.predict(model, x.to(model.dtype), t, told).float()

    def predict(x, timesteps):
        there, t = x.to(model.device), timesteps.to(model.device)
        if cfg_scale == 1:
            out = answer(there, t, positive)
        else:
            if same:
                without, with_it = answer(torch.cat([there, there]), torch.cat([t, t]), both).chunk(2)
            else:
                without, with_it = answer(there, t, negative), answer(there, t, positive)
            out = without + cfg_scale * (with_it - without)
        return samplers.noise_of(out, there, timesteps, schedule, model.prediction_type).to(x.device)

    return predict


def decode(model, latents):
    """PIL images of scaled latents."""
    vae = model.vae
    z = (latents / model.family.scale_factor).to(model.device, vae.post_quant_conv.weight.dtype)
    pixels = vae.decoder(vae.post_quant_conv(z)).float().cpu()
    bytes_ = (((pixels + 1) / 2).clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1)
    return [Image.fromarray(picture.numpy()) for picture in bytes_]
