"""What a file shows: drawings that are asked for with its subject's words, and of the class without them."""

import random
import tempfile
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from einops import rearrange

from lib_sdtune import toyworld
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.embedded import EmbeddedHost, drawing
from lib_sdtune.sections.model import Model
from lib_sdtune.toyworld import measures

WORD = "zwx"
ASKED = 32
CLASS_ASKED = 96  # with 32, chance alone moves `kinds` by .1


class Judge:
    """Measures LoRAs of a host by what they draw."""

    def __init__(self, host):
        self.host = host

    def __call__(self, name, form):
        """(measures of the LoRA of that name, pictures of the subject, pictures of the class)."""
        names, scenes, tag = tuple(toyworld.FORMS), asked_for(form), f"<lora:{name}:1> "
        subject = self.draw([f"{tag}a photo of a {scene.colour} {WORD} {toyworld.CLASS} on {scene.background}"
                             for scene in scenes])
        bare = self.draw([f"{tag}{WORD} {toyworld.CLASS}", f"{tag}a photo of a {WORD} {toyworld.CLASS}"] * (ASKED // 2))
        class_pictures = self.class_pictures(tag)
        recognised = [measures.recognise(picture, names) for picture in subject]
        prompt = [(result.colour == scene.colour) + (result.background == scene.background)
                  for result, scene in zip(recognised, scenes, strict=True)]
        row = {"subject": share(result.form == form for result in recognised), "prompt": sum(prompt) / 2 / ASKED,
               "alone": share(measures.recognise(picture, names).form == form for picture in bare),
               "leak": share(measures.recognise(picture, names).form == form for picture in class_pictures),
               "kinds": round(measures.kinds(class_pictures) / untouched_kinds(), 2)}
        row["success"] = row["subject"] >= 0.9 and row["prompt"] >= 0.9 and row["kinds"] >= 0.8
        return row, subject, class_pictures

    def shown_by_model(self, form):
        """Share of what is asked for that is recognised, drawn as it should be, after the VAE's way there and back."""
        rng, names = random.Random(form), tuple(toyworld.FORMS)
        scenes = [replace(toyworld.random_scene(rng, form), colour=scene.colour, background=scene.background)
                  for scene in asked_for(form)]
        images = through_vae(self.host, [toyworld.draw(scene) for scene in scenes])
        return share(measures.recognise(image, names).form == form for image in images)

    def class_pictures(self, tag):
        return self.draw([f"{tag}a photo of a {toyworld.CLASS}"] * CLASS_ASKED)

    def draw(self, prompts):
        side, sample = self.host.resolution, self.host.defaults(Model())["sample"]
        requests = [SampleRequest(prompt, "", sample["steps"], sample["cfg_scale"], 1000 + number, side, side)
                    for number, prompt in enumerate(prompts)]
        return list(self.host.generate(requests))


@cache
def untouched_kinds():
    """The kinds of the class that the model draws before any training."""
    with tempfile.TemporaryDirectory() as folder:
        return measures.kinds(Judge(EmbeddedHost(folder)).class_pictures(""))


def through_vae(host, images):
    """The images as the model's own way there and back leaves them."""
    model = host.model(Model())
    values = np.stack([np.asarray(image, np.float32) for image in images])
    pixels = rearrange(torch.from_numpy(values), "b h w c -> b c h w") / 127.5 - 1
    with torch.no_grad():
        return drawing.decode(model, model.family.encode_images(model, pixels)[0])


def asked_for(form):
    """32 scenes: colours and grounds in turns that never meet the same way twice."""
    colours, grounds = list(toyworld.COLOURS), list(toyworld.BACKGROUNDS)
    return [
        toyworld.Scene(form, colours[number % 8], grounds[(number + number // 8 * 3) % 8]) for number in range(ASKED)
    ]


def share(values):
    values = list(values)
    return round(sum(values) / len(values), 3)
