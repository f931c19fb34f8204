"""A family knows how its models encode, predict and name their layers; it knows no method."""

from dataclasses import dataclass, replace

import torch
from torch import nn


@dataclass(frozen=True)
class Target:
    """A layer that a network may bend. `key` is kohya's name for it, such as lora_unet_mid_block_attentions_0_proj_in."""

    key: str
    layer: nn.Module
    part: str  # "unet" | "text_encoder_1" | "text_encoder_2"
    kind: str  # "attention" (linear and 1x1 layers of the transformer blocks) | "convolution" (the residual blocks and samplers)
    block: str = ""  # "IN04", "MID", "OUT08" or "TE": for rates by block


@dataclass
class Conditioning:
    """What the UNet is told: context (B, 77n, D), and for SDXL a vector y (B, A)."""

    context: torch.Tensor
    vector: torch.Tensor | None = None

    def to(self, *args, **kwargs):
        vector = None if self.vector is None else self.vector.to(*args, **kwargs)
        return replace(self, context=self.context.to(*args, **kwargs), vector=vector)


class Family:
    """Subclasses set the facts and fill in the methods; `model` is always a `host.base.LoadedModel`."""

    scale_factor: float  # latents are the VAE's times this
    resolution: int  # pixels a side the family was trained at
    sd_version: str  # the WebUI's word: "SD1" | "SD2" | "SDXL"
    base_model_version: str  # kohya's ss_base_model_version
    architecture: str  # modelspec.architecture without its suffix
    defaults: dict[str, dict] = {}  # settings that suit the family better than the general ones, nested as in a config
    embedding_keys = ("emb_params",)  # of the tables in an embedding file, one per text tower
    prefixes = {"unet": "model.diffusion_model.", "vae": "first_stage_model.", "text_encoder_1": "cond_stage_model.transformer."}
    """Part of the model -> what the names of its tensors begin with in a checkpoint."""
    latent_channels = 4
    downscale = 8

    def recognises(self, shapes):
        """Whether a checkpoint with these tensor shapes (name -> tuple) is of this family."""
        raise NotImplementedError

    def targets(self, model):
        """Yield every `Target` of the UNet and the text encoders, in the model's order."""
        raise NotImplementedError

    def encode_text(self, model, captions, clip_skip=1):
        """`Conditioning` for a list of captions, taken literally (no emphasis); gradients reach what is trainable."""
        raise NotImplementedError

    def encode_prompts(self, model, prompts, clip_skip=1):
        """`Conditioning` for prompts that are lists of (text, weight), as `lib_sdtune.prompts.emphasis` gives them."""
        raise NotImplementedError

    def encode_images(self, model, pixels):
        """Mean and std of the scaled latents, (B, 4, h/8, w/8) each, for pixels (B, 3, h, w) in -1..1."""
        raise NotImplementedError

    def write_config(self, model, path):
        """Write the .yaml that the WebUI needs beside a checkpoint at `path`, if it cannot tell by itself what that is."""

    def predict(self, model, noisy, timesteps, conditioning):
        """The UNet's answer, (B, 4, h, w), for noisy latents at timesteps (B,)."""
        return model.unet(noisy, timesteps, context=conditioning.context)
