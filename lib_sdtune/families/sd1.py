"""Stable Diffusion 1.x: one CLIP ViT-L text tower, 512 pixels."""

from typing import Any

from lib_sdtune.families import registry
from lib_sdtune.families.base import Family, Model
from lib_sdtune.ldm import webui_config
from lib_sdtune.ldm.architecture import CLIP_PART, unet_sizes
from lib_sdtune.ldm.header import V
from lib_sdtune.ldm.towers import CLIPTower, Tower

LATENT_COLOURS = (0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473)


@registry.register("sd1")
class SD1(Family):
    scale_factor = 0.18215
    resolution = 512
    sd_version = "SD1"
    base_model_version = "sd_v1"
    architecture = "stable-diffusion-v1"
    context_width = 768
    latent_colours = LATENT_COLOURS
    text_parts = (CLIP_PART,)
    linear_projections = False
    head_channels = 0

    def recognises(self, shapes: dict) -> bool:
        first = shapes.get("model.diffusion_model.middle_block.1.proj_in.weight", ())
        return len(first) == 4 and any(name.startswith(CLIP_PART.prefix) for name in shapes)

    def config(self, model: Model) -> dict[str, Any] | None:
        unusual = webui_config.unusual(unet_sizes(model.unet.state_dict()))
        folder = webui_config.vocabulary(model) if unusual else None
        needed = bool(folder) if unusual else model.prediction_type == V
        return webui_config.latent_diffusion(model, webui_config.clip(folder)) if needed else None

    def towers(self, text_encoders: list, clip_skip: int = 1) -> list[Tower]:
        return [CLIPTower(text_encoders[0], clip_skip)]
