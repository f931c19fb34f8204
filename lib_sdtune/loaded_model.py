"""The model that a run trains: a host's own modules, lent, and what they are made of."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lib_sdtune.artefacts.checkpoint import plain
from lib_sdtune.diffusion import zero_terminal_snr
from lib_sdtune.families.base import Family
from lib_sdtune.families.variant import Variant
from lib_sdtune.ldm.towers import Tower


@dataclass
class LoadedModel:
    """The host's own modules, lent for a run; nothing here is a copy.

    unet: called as `unet(x, timesteps, context=..., y=...)`, x (B, 4, h, w), timesteps (B,) in 0..999, context (B,
    77n, D). vae: has `encoder`, `quant_conv`, `post_quant_conv`, `decoder` under the checkpoint's names.
    text_encoders: modules under the checkpoint's names, CLIP's or OpenCLIP's; `towers` says how they are read.
    tokenizer: `tokenizer(text) -> list[int]` without start, end and padding, plus `.start`, `.end`, `.pad` ids.
    alphas_cumprod: (1000,) float32, the schedule of the family; `schedule` is the variant's own.
    variant: what the model predicts and at which size, as its file or the settings say.
    embeddings: name -> (n, D) tensor of the textual-inversion embeddings that captions may name, D the widths of all
    towers together. grey_latents: (height, width) in pixels -> latents of an even grey, which inpainting models are
    told instead of a picture. offloaded: parts that are lent in main memory, and go to `device` only for a while.
    folder: the host's `folder(kind) -> Path`, for methods that go on from a file. path: the checkpoint's own file.
    hash: the first ten digits of `sha256`, that of the file, which may be "" where nobody has counted it.
    vae_name: which file the VAE is of, for a person to read; "" where the host cannot tell.
    """

    family: Family
    unet: nn.Module
    vae: nn.Module
    text_encoders: list[nn.Module]
    tokenizer: Any
    alphas_cumprod: torch.Tensor
    name: str
    hash: str
    variant: Variant = field(default_factory=Variant)
    embeddings: dict[str, torch.Tensor] = field(default_factory=dict)
    folder: Any = None
    path: Path | None = None
    sha256: str = ""
    vae_name: str = ""
    grey_latents: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict)
    offloaded: list[nn.Module] = field(default_factory=list)

    @property
    def prediction_type(self) -> str:
        return self.variant.prediction_type

    @property
    def resolution(self) -> int:
        return self.variant.resolution

    @property
    def schedule(self) -> torch.Tensor:
        """(1000,) float32: how much signal is left at each timestep of this variant."""
        return zero_terminal_snr(self.alphas_cumprod) if self.variant.zero_terminal_snr else self.alphas_cumprod

    @property
    def towers(self) -> list[Tower]:
        """The text encoders as the family reads them."""
        return self.family.towers(self.text_encoders)

    @property
    def device(self) -> torch.device:
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.unet.parameters()).dtype

    def spec(self) -> "ModelSpec":
        """What it is made of, for arithmetic."""
        shapes = {part: {plain(name): tuple(tensor.shape) for name, tensor in module.named_parameters()}
                  for part, module in self.modules()}
        return ModelSpec(shapes, self.dtype, self.device, self.variant, self.family)

    def modules(self) -> Iterator[tuple[str, nn.Module]]:
        """(name, module) of every part that a run could touch."""
        yield "unet", self.unet
        yield "vae", self.vae
        yield from ((f"text_encoder_{i + 1}", tower) for i, tower in enumerate(self.text_encoders))


@dataclass(frozen=True)
class ModelSpec:
    """What a model is made of, for arithmetic: shapes is part -> {name of a tensor: its shape}, as the host would lend
    it.
    """

    shapes: dict[str, dict[str, tuple[int, ...]]]
    dtype: torch.dtype
    device: torch.device
    variant: Variant = field(default_factory=Variant)
    family: Family = field(default_factory=Family)

    def count(self, part: str) -> int:
        """Numbers in a part."""
        return sum(math.prod(shape) for shape in self.shapes[part].values())
