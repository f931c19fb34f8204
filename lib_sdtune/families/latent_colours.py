"""Whose latents a VAE makes, told by colours. Latents are nearly a linear map of a picture's colours, and each family's
VAE has another one: what is red minus blue for SD1's is nearly blue minus red for SDXL's. VAEs of one shape are told
so.
"""

from itertools import product

import torch

from lib_sdtune.families import registry
from lib_sdtune.families.base import Family, Model

SIDE = 64  # pixels of a picture of one colour
COLOURS = torch.tensor(list(product((-0.5, 0.5), repeat=3)))  # (8, 3): red, green and blue in -1..1
CLEARLY, HARDLY = 0.7, 0.35  # correlations


def resembled(model: Model) -> Family | None:
    """The other family that the model's VAE is clearly of; None where it is of its own, or of nobody's."""
    latents = latents_of_colours(model)
    if not model.family.latent_colours or agreement(latents, model.family) > HARDLY:
        return None
    others = (cls() for _, cls in registry)
    return next((family for family in others if family.latent_colours and agreement(latents, family) > CLEARLY), None)


@torch.no_grad()
def latents_of_colours(model: Model) -> torch.Tensor:
    """(8, C): the unscaled latents of the colours, each the mean over a picture of nothing else."""
    weight = next(model.vae.parameters())
    pixels = COLOURS[:, :, None, None].expand(-1, -1, SIDE, SIDE).to(weight)
    means, _ = model.family.encode_images(model, pixels)
    return means.mean(dim=(2, 3)).cpu() / model.family.scale_factor


def agreement(latents: torch.Tensor, family: Family) -> float:
    """The correlation between the colours and what the family's map makes of their latents; not a number for broken
    ones.
    """
    colours = latents @ torch.tensor(family.latent_colours)
    pair = torch.stack([(colours - colours.mean(0)).flatten(), (COLOURS - COLOURS.mean(0)).flatten()])
    return float(torch.corrcoef(pair)[0, 1])
