"""A family knows how its models encode, predict and name their layers; it knows no method."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from lib_sdtune.devices import upload
from lib_sdtune.families.variant import Variant
from lib_sdtune.ldm import webui_config
from lib_sdtune.ldm.architecture import UNET_PART, VAE_PART, Part
from lib_sdtune.ldm.header import EPSILON, Header, V
from lib_sdtune.ldm.layers import Layer, norm_layers, outer_layers, refuse_without_weight, unet_layers
from lib_sdtune.ldm.prompt import encode
from lib_sdtune.ldm.towers import Tower
from lib_sdtune.ldm.vae import moments

Model = Any
"""A `loaded_model.LoadedModel`, which is made of what is here."""


@dataclass(frozen=True)
class Target:
    """A layer that a network may adapt. `key` is kohya's name for it, such as
    lora_unet_mid_block_attentions_0_proj_in.
    """

    key: str
    layer: nn.Module
    part: str  # "unet" | "text_encoder_1" | "text_encoder_2"
    # "attention" (linear and 1x1 layers of the transformer blocks) | "convolution" (the residual blocks and samplers)
    kind: str
    block: str = ""  # "IN04", "MID", "OUT08" or "TE": for rates by block
    unused: bool = False  # takes part in no prediction, and is named because files name it

    @property
    def source(self) -> tuple[torch.Tensor, slice]:
        """The model's parameter that the layer's weight is, and which of its rows: a fused query, key or value is a
        third of one.
        """
        return getattr(self.layer, "source", None) or (cast(torch.Tensor, self.layer.weight), slice(None))


@dataclass
class Conditioning:
    """What the UNet is told: context (B, 77n, D); for SDXL also the pooled text as vector (B, A) and the sizes (B, 6).

    sizes: height and width of the original, top and left of the cut, height and width of the target, in pixels; None
    where nothing was cut. concat: further channels (B, C, h, w) beside the noisy latents.
    """

    context: torch.Tensor
    vector: torch.Tensor | None = None
    sizes: torch.Tensor | None = None
    concat: torch.Tensor | None = None

    def to(self, *args: Any, **kwargs: Any) -> "Conditioning":
        """As `torch.Tensor.to`, of every tensor that there is."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(
            self, **{name: tensor.to(*args, **kwargs) for name, tensor in tensors.items() if tensor is not None}
        )

    def on(self, device: torch.device) -> "Conditioning":
        """On a device, without waiting for it."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: upload(tensor, device) for name, tensor in tensors.items() if tensor is not None})


class Family:
    """Subclasses set the facts and fill in the methods; `model` is always a `loaded_model.LoadedModel`."""

    name: str  # as it is registered
    scale_factor: float  # latents are the VAE's times this
    resolution: int  # pixels a side the family was trained at
    sd_version: str  # the WebUI's word: "SD1" | "SD2" | "SDXL"
    base_model_version: str  # kohya's ss_base_model_version
    is_v2 = False  # kohya's ss_v2
    architecture: str  # modelspec.architecture without its suffix
    implementation = "https://github.com/Stability-AI/generative-models"  # modelspec.implementation of its files
    lora_implementation = "diffusers"  # that of its LoRAs
    context_width = 0  # of the vectors that the UNet's cross-attention reads
    embedding_keys: tuple[str, ...] = ("emb_params",)  # of the tables in an embedding file, one per text tower
    text_parts: tuple[Part, ...]  # the text encoders, in the order in which the UNet hears them
    text_keys: tuple[str, ...] = ("lora_te",)  # what kohya's names of their layers begin with
    reads_clip_skip = True  # whether the WebUI's "Clip skip" changes what the text encoders answer
    fused_text_attention = False  # whether a text encoder is OpenCLIP's, whose attention is one nn.MultiheadAttention
    adapts_text_by_default = True  # whether a small add-on learns in the text encoders too, where nobody says otherwise
    linear_projections = True  # whether proj_in and proj_out of the transformers are linear, or else 1x1 convolutions
    activations = (400, 100)
    """Numbers a model channel and latent pixel that the UNet keeps for the backward pass, without and with gradient
    checkpointing. Counted on a UNet of the family's true shape, without attention maps, which a fused kernel does not
    keep.
    """
    head_channels = 64  # numbers of a head of the UNet's attention; 0: eight heads at every width
    latent_channels = 4
    latent_colours: tuple[tuple[float, float, float], ...] = ()
    """(latent_channels, 3): about what red, green and blue are in its scaled latents, as previews draw them; () where
    nobody knows.
    """
    downscale = 8

    # what a checkpoint is

    def recognises(self, shapes: dict) -> bool:
        """Whether a checkpoint with these tensor shapes (name -> tuple) is of this family."""
        raise NotImplementedError

    def read(self, header: Header) -> Variant | None:
        """Which variant a checkpoint is; None if it is of another family. UserError for a part that it lacks."""
        if not self.recognises(header.shapes):
            return None
        prediction = header.prediction_type or self.unspoken_prediction(header)
        zero = header.zero_terminal_snr and prediction == V
        return Variant(prediction, zero, header.in_channels, header.resolution or self.resolution_of(prediction))

    def unspoken_prediction(self, header: Header) -> str:
        """What a model that nothing is said about predicts."""
        return EPSILON

    def resolution_of(self, prediction_type: str) -> int:
        """Pixels a side of a model that nothing is said about."""
        return self.resolution

    @property
    def parts(self) -> dict[str, Part]:
        """Part of the model -> where it is in a checkpoint, and who makes it."""
        return {"unet": UNET_PART, "vae": VAE_PART} | {
            f"text_encoder_{i + 1}": part for i, part in enumerate(self.text_parts)
        }

    @property
    def prefixes(self) -> dict[str, str]:
        """Part of the model -> what the names of its tensors begin with in a checkpoint."""
        return {name: part.prefix for name, part in self.parts.items()}

    def shapes(self, header: Header) -> dict[str, dict[str, tuple[int, ...]]]:
        """Part of the model -> {name of a tensor within it: its shape}."""
        return {
            part: {name.removeprefix(prefix): shape for name, shape in header.shapes.items() if name.startswith(prefix)}
            for part, prefix in self.prefixes.items()
        }

    # what suits it

    def defaults(self, variant: Variant) -> dict[str, Any]:
        """Settings that suit a variant better than the general ones, nested as in a config."""
        settings: dict[str, Any] = {"dataset": {"resolution": variant.resolution}}
        if variant.resolution > 512:
            settings["dataset"] |= {
                "min_bucket_reso": variant.resolution // 2,
                "max_bucket_reso": variant.resolution * 2,
            }
        return settings | ({"noise": {"zero_terminal_snr": True}} if variant.zero_terminal_snr else {})

    def write_config(self, model: Model, path: Path) -> None:
        """Write the .yaml that the WebUI needs beside a checkpoint at `path`, if it cannot tell by itself what that
        is.
        """
        webui_config.write(path, model)

    def config(self, model: Model) -> dict[str, Any] | None:
        """The content of that .yaml, or None where the WebUI needs none, or none could be written."""
        return None

    def markers(self, variant: Variant) -> dict[str, torch.Tensor]:
        """Tensors without content by whose names other programs tell the variant of a checkpoint."""
        return {}

    def version(self, variant: Variant) -> str:
        """kohya's ss_base_model_version of a variant."""
        return self.base_model_version

    def architecture_of(self, variant: Variant) -> str:
        """modelspec.architecture of a variant, without its suffix."""
        return self.architecture

    # its layers

    def towers(self, text_encoders: list, clip_skip: int = 1) -> list[Tower]:
        """The text encoders and how they are read."""
        raise NotImplementedError

    def targets(self, model: Model) -> Iterator[Target]:
        """Yield every `Target` of the UNet and the text encoders, in the model's order."""
        unused = self.unused_parameters(model)
        for layer in unet_layers(model.unet):
            yield Target(f"lora_unet_{self.unet_name(layer)}", layer.module, "unet", layer.kind, layer.block)
        for number, (key, tower) in enumerate(zip(self.text_keys, self.towers(model.text_encoders), strict=True), 1):
            for name, module in self.text_layers(tower):
                refuse_without_weight(module, f"{key}_{name}")
                target = Target(f"{key}_{name}", module, f"text_encoder_{number}", "attention", "TE")
                yield replace(target, unused=id(target.source[0]) in unused)

    def outer_targets(self, model: Model) -> Iterator[Target]:
        """Those of the UNet outside its blocks, which LyCORIS adapts too unless it is told otherwise."""
        for layer in outer_layers(model.unet):
            yield Target(f"lora_unet_{self.unet_name(layer)}", layer.module, "unet", layer.kind)

    def norm_targets(self, model: Model) -> Iterator[Target]:
        """The norm layers of the UNet's blocks, each of the kind of the layers beside it."""
        for layer in norm_layers(model.unet):
            yield Target(f"lora_unet_{self.unet_name(layer)}", layer.module, "unet", layer.kind, layer.block)

    def unet_name(self, layer: Layer) -> str:
        """The layer's name in LoRA files."""
        return layer.diffusers

    def text_layers(self, tower: Tower) -> Iterator[tuple[str, nn.Module]]:
        """(name in LoRA files, layer) of those that the files name."""
        return tower.layers()

    def unused_parameters(self, model: Model, clip_skip: int = 1) -> set[int]:
        """id() of the parameters that take part in no prediction: nothing teaches them, so they stay as they are."""
        return {id(parameter) for tower in self.towers(model.text_encoders, clip_skip)
                for parameter in tower.unused_parameters()}

    # what it does

    def encode_text(self, model: Model, captions: list[str], clip_skip: int = 1) -> Conditioning:
        """`Conditioning` for a list of captions, taken literally (no emphasis); gradients reach what is trainable."""
        return self.encode_prompts(model, [[(caption, 1.0)] for caption in captions], clip_skip)

    def encode_prompts(self, model: Model, prompts: list, clip_skip: int = 1, negative: bool = False
                       ) -> Conditioning:
        """`Conditioning` for prompts that are lists of (text, weight), as `lib_sdtune.prompts.emphasis` gives them.

        negative: they say what a picture shall not show, which some families answer otherwise.
        """
        towers = self.towers(model.text_encoders, clip_skip)
        return Conditioning(*encode(towers, model.tokenizer, prompts, model.embeddings))

    def unconditional(self, conditioning: Conditioning, rows: torch.Tensor) -> Conditioning:
        """The conditioning with those rows (B,), which say nothing, as the host has them where it leads away from an
        empty prompt.
        """
        return conditioning

    def encode_images(self, model: Model, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and std of the scaled latents, (B, 4, h/8, w/8) each, for pixels (B, 3, h, w) in -1..1."""
        vae: Any = model.vae
        mean, std = moments(vae.quant_conv(vae.encoder(pixels.to(vae.quant_conv.weight.dtype))))
        return mean.float() * self.scale_factor, std.float() * self.scale_factor

    def predict(self, model: Model, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
                ) -> torch.Tensor:
        """The UNet's answer, (B, 4, h, w), for noisy latents at timesteps (B,)."""
        return model.unet(self.read_by_unet(model, noisy, conditioning), timesteps, context=conditioning.context)

    def read_by_unet(self, model: Model, noisy: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        """(B, C, h, w): the noisy latents with the further channels of the conditioning, or those of a picture of which
        all is missing.
        """
        if not model.variant.inpainting:
            return noisy
        concat = self.all_missing(model, noisy) if conditioning.concat is None else conditioning.concat
        return torch.cat([noisy, concat.to(noisy)], dim=1)

    @torch.no_grad()
    def all_missing(self, model: Model, noisy: torch.Tensor) -> torch.Tensor:
        """(B, 5, h, w): a mask of ones, and the latents of the even grey that the WebUI takes where there is no
        picture.
        """
        size = tuple(side * self.downscale for side in noisy.shape[-2:])
        if size not in model.grey_latents:
            model.grey_latents[size], _ = self.encode_images(model, torch.full((1, 3, *size), 0.5, device=noisy.device))
        return torch.cat(
            [torch.ones_like(noisy[:, :1]), model.grey_latents[size].to(noisy).expand(len(noisy), -1, -1, -1)], dim=1
        )
