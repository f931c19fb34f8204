"""Stable Diffusion 2.x: one OpenCLIP ViT-H text tower; 512 pixels where it predicts noise, 768 where it predicts a
velocity.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch import nn

from lib_sdtune.families import registry
from lib_sdtune.families.base import Family, Model
from lib_sdtune.families.sd1 import LATENT_COLOURS
from lib_sdtune.families.variant import Variant
from lib_sdtune.ldm import openclip_names, webui_config
from lib_sdtune.ldm.architecture import Part, open_text_sizes
from lib_sdtune.ldm.header import EPSILON, Header, V
from lib_sdtune.ldm.openclip import OpenCLIPTextModel
from lib_sdtune.ldm.towers import Tower, open_clip_tower

A_LAYER = 6  # targets: query, key, value, out, and two of the feed-forward


@registry.register("sd2")
class SD2(Family):
    scale_factor = 0.18215
    resolution = 512
    sd_version = "SD2"
    base_model_version = "sd_v2"
    is_v2 = True
    architecture = "stable-diffusion-v2-512"
    context_width = 1024
    latent_colours = LATENT_COLOURS  # it has the same VAE
    text_parts = (
        Part("cond_stage_model.model.", OpenCLIPTextModel, open_text_sizes, "text", openclip_names.folded),
    )

    reads_clip_skip = False
    fused_text_attention = True

    def recognises(self, shapes: dict) -> bool:
        return any(name.startswith("cond_stage_model.model.transformer.") for name in shapes)

    def unspoken_prediction(self, header: Header) -> str:
        return V if header.in_channels == 4 and header.probe() else EPSILON

    def resolution_of(self, prediction_type: str) -> int:
        return 768 if prediction_type == V else self.resolution

    def version(self, variant: Variant) -> str:
        return self.base_model_version + ("_v" if variant.prediction_type == V else "")

    def architecture_of(self, variant: Variant) -> str:
        return "stable-diffusion-v2-768-v" if variant.prediction_type == V else self.architecture

    def config(self, model: Model) -> dict[str, Any] | None:
        return webui_config.latent_diffusion(model, webui_config.open_clip()) if model.prediction_type == V else None

    def towers(self, text_encoders: list, clip_skip: int = 1) -> list[Tower]:
        """Always the last layer but one, normalised, as it was trained; the WebUI lets its setting pass here too."""
        return [open_clip_tower(text_encoders[0], from_last=2, pad=0)]

    def text_layers(self, tower: Tower) -> Iterator[tuple[str, nn.Module]]:
        """Files have no names for the last layer, which nobody reads."""
        return islice(tower.layers(), A_LAYER * tower.depth)
