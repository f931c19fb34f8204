"""Small models with random weights, in the shape of the real ones."""

import torch

from lib_sdtune.families.sd1 import SD1
from lib_sdtune.host.base import LoadedModel
from lib_sdtune.ldm.checkpoint import CLIP, UNET, VAE, alphas_cumprod
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.tokenizer import END, START, Tokenizer, byte_letters
from lib_sdtune.ldm.unet import UNetModel
from lib_sdtune.ldm.vae import AutoencoderKL


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


def tiny_sd1(embeddings=None, seed=0):
    """SD1's block structure at width 32: every layer name, half a second to make."""
    unet = randomise(UNetModel(model_channels=32, channel_mult=(1, 1, 1, 1), context_dim=16, num_heads=4), seed)
    vae = randomise(AutoencoderKL(32, (1, 1, 1, 1), 1), seed + 1)
    words = tokenizer()
    text = randomise(CLIPTextModel(len(words), 16, 3, 4), seed + 2)
    return LoadedModel(SD1(), unet, vae, [text], words, alphas_cumprod(), "tiny", "0" * 10, embeddings=embeddings or {})


def checkpoint_tensors(model):
    """name -> tensor, as a checkpoint file has them."""
    parts = [(UNET, model.unet), (VAE, model.vae), (CLIP, model.text_encoders[0])]
    return {prefix + name: tensor for prefix, module in parts for name, tensor in module.state_dict().items()}
