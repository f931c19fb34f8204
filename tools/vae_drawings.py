"""What the embedded model's autoencoder learns from: drawings of the toy world, and of forms that are not of it."""

import random

import numpy as np
import torch
from einops import rearrange

from lib_sdtune import toyworld
from tools.odd_forms import odd_form


def pixels(pictures):
    """(B, 3, h, w) in -1..1."""
    return rearrange(torch.from_numpy(np.stack([np.asarray(p) for p in pictures])),
                     "b h w c -> b c h w").float() / 127.5 - 1


def batch(step, size, world=0.6):
    """(size, 3, 64, 64) of a step; world: share of drawings that show the toy world."""
    rng = random.Random(step)
    return pixels([toyworld.draw(toyworld.random_scene(rng)) if rng.random() < world else odd_picture(rng)
                   for _ in range(size)])


def odd_picture(rng):
    """One or two forms of any colours and sizes, so that a subject which is not of this world survives too."""
    any_colour = [np.array([rng.randrange(256) for _ in range(3)]) for _ in range(3)]
    picture = np.full((64, 64, 3), any_colour[0], np.float32)
    for colour in any_colour[1:rng.choice((2, 2, 3))]:
        form = rng.choice(list(toyworld.SHAPES)) if rng.random() < 0.3 else odd_form(rng)
        cover = toyworld.silhouette(form, rng.uniform(18, 46), rng.uniform(18, 46), rng.uniform(9, 27))[..., None]
        picture += cover * (colour - picture)
    return picture

