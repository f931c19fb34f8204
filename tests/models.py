"""Small models with random weights, in the shape of the real ones."""

from functools import partial

import torch

from lib_sdtune.diffusion import alphas_cumprod
from lib_sdtune.families.sd1 import SD1
from lib_sdtune.families.sd2 import SD2
from lib_sdtune.families.sdxl import SDXL
from lib_sdtune.families.variant import Variant
from lib_sdtune.ldm.openclip import OpenCLIPTextModel
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.tokenizer import END, START, Tokenizer, byte_letters
from lib_sdtune.ldm.unet import UNetModel
from lib_sdtune.ldm.vae import AutoencoderKL
from lib_sdtune.loaded_model import LoadedModel


def tokenizer():
    """Bytes, bytes that end a word, and two whole words: every text has ids."""
    letters = list(byte_letters().values())
    merges = [("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>")]
    tokens = letters + [letter + "</w>" for letter in letters] + ["".join(pair) for pair in merges] + [START, END]
    return Tokenizer({token: i for i, token in enumerate(tokens)}, merges)


def randomise(module, seed=0, size=0.05):
    """Weights that let differences through, none of them zero."""
    chance = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        centre = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
        parameter.data.copy_(centre + torch.randn(parameter.shape, generator=chance) * size)
    return module.eval().requires_grad_(False)


def channels(variant):
    """That the UNet of a variant reads."""
    return variant.in_channels if variant else 4


def tiny_sd1(embeddings=None, seed=0, variant=None, **shape):
    """SD1's block structure at width 32: every layer name. shape: arguments of the UNet that are others."""
    shape = {"model_channels": 32, "channel_mult": (1, 1, 1, 1), "context_dim": 16, "num_heads": 4} | shape
    unet = randomise(UNetModel(channels(variant), **shape), seed)
    vae = randomise(AutoencoderKL(32, (1, 1, 1, 1), 1), seed + 1)
    words = tokenizer()
    text = randomise(CLIPTextModel(len(words), 16, 3, 4), seed + 2)
    return LoadedModel(
        SD1(), unet, vae, [text], words, alphas_cumprod(), "tiny", "0" * 10, variant or Variant(), embeddings or {}
    )


def tiny_sd2(embeddings=None, seed=0, variant=None, **shape):
    """SD2's structure: linear projections, and an OpenCLIP tower of which the last layer is never read."""
    shape = {"model_channels": 32, "channel_mult": (1, 1, 1, 1), "context_dim": 16, "head_channels": 8, "use_linear": True} | shape
    unet = randomise(UNetModel(channels(variant), **shape), seed)
    vae, words = randomise(AutoencoderKL(32, (1, 1, 1, 1), 1), seed + 1), tokenizer()
    text = randomise(OpenCLIPTextModel(len(words), 16, 3, 4, projection=16), seed + 2)
    return LoadedModel(
        SD2(), unet, vae, [text], words, alphas_cumprod(), "tiny", "0" * 10, variant or Variant(), embeddings or {}
    )


def tiny_sdxl(embeddings=None, seed=0, variant=None, **shape):
    """SDXL's structure: three levels, deeper transformers, two towers, and the vector of pooled text and sizes."""
    shape = {"model_channels": 32, "channel_mult": (1, 1, 1), "attention_levels": (1, 2), "transformer_depth": (0, 1, 2), "context_dim": 28,
             "head_channels": 8, "use_linear": True, "adm_channels": 20 + 6 * 256} | shape
    unet = randomise(UNetModel(channels(variant), **shape), seed)
    vae, words = randomise(AutoencoderKL(32, (1, 1, 1, 1), 1), seed + 1), tokenizer()
    first = randomise(CLIPTextModel(len(words), 12, 3, 4), seed + 2, size=0.3)  # bare states: no norm makes them large
    second = randomise(OpenCLIPTextModel(len(words), 16, 3, 4, projection=20), seed + 3, size=0.3)
    return LoadedModel(
        SDXL(),
        unet,
        vae,
        [first, second],
        words,
        alphas_cumprod(),
        "tiny",
        "0" * 10,
        variant or Variant(),
        embeddings or {},
    )


TINY = {"sd1": tiny_sd1, "sd2": tiny_sd2, "sdxl": tiny_sdxl}
"""Family -> a function that makes a small model of it."""

LEVELS = {"channel_mult": (1, 1), "num_res_blocks": 1}  # fewer, each with one block of a kind
SHALLOW = {"sd1": partial(tiny_sd1, **LEVELS, attention_levels=(0,)), "sd2": partial(tiny_sd2, **LEVELS, attention_levels=(0,)),
           "sdxl": partial(tiny_sdxl, **LEVELS, attention_levels=(1,), transformer_depth=(0, 2))}
"""The same for runs that are about something else than a family's layers: a quarter of them, of every kind."""

VARIANTS = {"inpainting": Variant(in_channels=9), "v": Variant("v_prediction", zero_terminal_snr=True)}
"""Name -> what a model of any family may be besides."""


def checkpoint_tensors(model):
    """name -> tensor, as a checkpoint file has them."""
    prefixes = model.family.prefixes
    return {
        prefixes[part] + name: tensor
        for part, module in model.modules()
        for name, tensor in module.state_dict().items()
    }
