"""A Stable Diffusion 1 of toy size, made of the public `ldm` modules, under the WebUI's names."""

import sys
from types import SimpleNamespace

import torch
from torch import nn

for name in ("omegaconf", "omegaconf.listconfig"):  # the public code imports it for one isinstance
    sys.modules.setdefault(name, SimpleNamespace(ListConfig=list))

from ldm.modules.diffusionmodules.model import Decoder, Encoder  # noqa: E402
from ldm.modules.diffusionmodules.openaimodel import UNetModel  # noqa: E402

from lib_sdtune.ldm.text import CLIPTextModel, hidden_states  # noqa: E402
from tests.models import tokenizer  # noqa: E402

VAE = {"ch": 32, "ch_mult": (1, 1, 1, 1), "num_res_blocks": 1, "z_channels": 4, "out_ch": 3, "in_channels": 3, "resolution": 64,
       "attn_resolutions": [], "double_z": True}


class AutoencoderKL(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Encoder(**VAE), Decoder(**VAE)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(8, 8, 1), nn.Conv2d(4, 4, 1)

    def decode(self, z):
        return self.decoder(self.post_quant_conv(z))


class Transformer(CLIPTextModel):
    """The text tower; called with ids it gives the last hidden states."""

    def forward(self, ids):
        return self.text_model.final_layer_norm(hidden_states(self.text_model, ids)[-1])


class FrozenCLIPEmbedder(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokenizer = tokenizer()
        self.transformer = Transformer(len(self.tokenizer), 16, 3, 4)
        embeddings = self.transformer.text_model.embeddings
        positions = torch.arange(embeddings.position_embedding.num_embeddings)[None]
        embeddings.register_buffer("position_ids", positions, persistent=False)


class LatentDiffusion(nn.Module):
    parameterization, scale_factor, latent_channels = "eps", 0.18215, 4

    def __init__(self):
        super().__init__()
        unet = UNetModel(image_size=32, in_channels=4, out_channels=4, model_channels=32, attention_resolutions=[2, 1], num_res_blocks=1,
                         channel_mult=(1, 2), num_heads=4, use_spatial_transformer=True, transformer_depth=1, context_dim=16,
                         use_checkpoint=False, legacy=False)
        self.model = nn.Module()
        self.model.diffusion_model = unet
        self.first_stage_model, self.cond_stage_model = AutoencoderKL(), FrozenCLIPEmbedder()
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        self.register_buffer("betas", betas.float(), persistent=False)
        self.alphas_cumprod = self.alphas_cumprod_original = torch.cumprod(1 - betas, 0).float()
