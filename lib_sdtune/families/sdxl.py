"""Stable Diffusion XL (Podell et al. 2023, arXiv 2307.01952): CLIP ViT-L and OpenCLIP ViT-bigG, and sizes that the
UNet is told.
"""

from dataclasses import replace
from typing import Any

import torch

from lib_sdtune.families import registry
from lib_sdtune.families.base import Conditioning, Family, Model
from lib_sdtune.families.variant import Variant
from lib_sdtune.ldm import openclip_names, webui_config
from lib_sdtune.ldm.architecture import Part, open_text_sizes, text_sizes
from lib_sdtune.ldm.header import V
from lib_sdtune.ldm.layers import Layer
from lib_sdtune.ldm.openclip import OpenCLIPTextModel
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.towers import CLIPTower, Tower, open_clip_tower
from lib_sdtune.ldm.unet import timestep_embedding

SIZE_CHANNELS = 256  # that each of the six numbers becomes


@registry.register("sdxl")
class SDXL(Family):
    scale_factor = 0.13025
    resolution = 1024
    sd_version = "SDXL"
    base_model_version = "sdxl_base_v1-0"
    architecture = "stable-diffusion-xl-v1-base"
    lora_implementation = Family.implementation
    context_width = 2048
    embedding_keys = ("clip_l", "clip_g")
    text_parts = (Part("conditioner.embedders.0.transformer.", CLIPTextModel, text_sizes, "text"),
                  Part("conditioner.embedders.1.model.", OpenCLIPTextModel, open_text_sizes, "text_2",
                       openclip_names.folded))
    text_keys = ("lora_te1", "lora_te2")
    reads_clip_skip = False
    fused_text_attention = True
    adapts_text_by_default = False  # they are large and learn little; untrained they are read once and set aside
    latent_colours = (
        (0.3448, 0.4168, 0.4395), (-0.1953, -0.0290, 0.0250), (0.1074, 0.0886, -0.0163), (-0.3730, -0.2499, -0.2088)
    )
    activations = (690, 100)  # its transformers are up to ten blocks deep

    def recognises(self, shapes: dict) -> bool:
        return any(name.startswith("conditioner.embedders.") for name in shapes)

    def markers(self, variant: Variant) -> dict[str, torch.Tensor]:
        names = ["v_pred"] * (variant.prediction_type == V) + ["ztsnr"] * variant.zero_terminal_snr
        return {name: torch.zeros(0) for name in names}

    def config(self, model: Model) -> dict[str, Any] | None:
        return webui_config.diffusion_engine(model) if model.prediction_type == V else None

    def unet_name(self, layer: Layer) -> str:
        """Files of this family have the checkpoint's own names."""
        return layer.path.replace(".", "_")

    def towers(self, text_encoders: list, clip_skip: int = 1) -> list[Tower]:
        """Both are read at the last layer but one, bare; the WebUI lets its setting pass here unless told otherwise."""
        first, second = text_encoders
        return [CLIPTower(first, from_last=2, normalised=False),
                open_clip_tower(second, from_last=2, normalised=False, pooled=True, pad=0)]

    def encode_prompts(self, model: Model, prompts: list, clip_skip: int = 1, negative: bool = False
                       ) -> Conditioning:
        conditioning = super().encode_prompts(model, prompts, clip_skip)
        empty = [negative and not any(text for text, _ in pieces) for pieces in prompts]
        if not any(empty):
            return conditioning
        return self.unconditional(conditioning, torch.tensor(empty, device=conditioning.context.device))

    def unconditional(self, conditioning: Conditioning, rows: torch.Tensor) -> Conditioning:
        """A negative prompt without a word is all zeros, as in the WebUI and in training by Stability."""
        assert conditioning.vector is not None
        return replace(conditioning, context=conditioning.context.masked_fill(rows[:, None, None], 0),
                       vector=conditioning.vector.masked_fill(rows[:, None], 0))

    def predict(self, model: Model, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
                ) -> torch.Tensor:
        assert conditioning.vector is not None
        sizes = conditioning.sizes
        if sizes is None:
            height, width = (side * self.downscale for side in noisy.shape[-2:])
            sizes = torch.tensor([[height, width, 0, 0, height, width]], device=noisy.device).expand(len(noisy), -1)
        numbers = timestep_embedding(sizes.flatten(), SIZE_CHANNELS).reshape(len(noisy), -1)
        vector = torch.cat([conditioning.vector.to(noisy.dtype), numbers.to(noisy.dtype)], dim=1)
        x = self.read_by_unet(model, noisy, conditioning)
        return model.unet(x, timesteps, context=conditioning.context, y=vector)
