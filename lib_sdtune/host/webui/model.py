"""The WebUI's loaded model as `loaded_model.LoadedModel`: views of its own modules, nothing copied."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lib_sdtune.artefacts.checkpoint import plain
from lib_sdtune.families.base import Family
from lib_sdtune.families.detection import detect
from lib_sdtune.families.variant import Variant
from lib_sdtune.host.webui import forks
from lib_sdtune.host.webui.folders import folder
from lib_sdtune.host.webui.neutral import placement
from lib_sdtune.host.webui.parts import text_towers
from lib_sdtune.ldm import header
from lib_sdtune.ldm.header import EPSILON, V
from lib_sdtune.loaded_model import LoadedModel, ModelSpec

log = logging.getLogger("sdtune")


def detected(sd_model: nn.Module | None, path: Path | None = None) -> tuple[Family, Variant]:
    """(family, variant) of a checkpoint's file, or of the loaded one's. UserError for those that cannot be trained."""
    loaded = Path(sd_model.sd_checkpoint_info.filename) if sd_model is not None else None
    file_header = header.read(Path(path or loaded))
    if sd_model is not None and path in (None, loaded):
        file_header = replace(file_header, probe=lambda: velocity(sd_model))  # the WebUI has asked the weights already
    return detect(file_header)


def velocity(sd_model: nn.Module) -> bool:
    """Whether the WebUI takes it for a model that predicts a velocity."""
    return getattr(sd_model, "parameterization", "eps") == "v"


def lend(sd_model: nn.Module, prediction_type: str = "auto") -> LoadedModel:
    """`sd_model` as the trainer wants it; call it inside `neutral`."""
    family, variant = detected(sd_model)
    variant = variant.overridden(prediction_type)
    if (variant.prediction_type == V) != velocity(sd_model):
        log.warning(
            "This run trains %s as %s, but the WebUI draws with it as %s, so its own pictures of it come out wrong "
            "until a .yaml beside the file says the same.",
            sd_model.sd_checkpoint_info.name_for_extra,
            variant.prediction_type,
            V if velocity(sd_model) else EPSILON,
        )
    info = sd_model.sd_checkpoint_info
    schedule = getattr(sd_model, "alphas_cumprod_original", None)
    schedule = sd_model.alphas_cumprod if schedule is None else schedule
    return LoadedModel(
        family=family,
        unet=sd_model.model.diffusion_model,
        vae=sd_model.first_stage_model,
        text_encoders=text_towers(sd_model),
        tokenizer=Tokenizer(first_wrapper(sd_model)),
        alphas_cumprod=schedule.detach().to("cpu", torch.float32),
        name=info.name_for_extra,
        hash=info.shorthash or sd_model.sd_model_hash or "",
        variant=variant,
        embeddings=embeddings(family, sd_model),
        folder=folder,
        path=Path(info.filename),
        sha256=getattr(info, "sha256", None) or "",
        offloaded=placement.offloaded(sd_model),
        vae_name=forks.current().vae_name(),
    )


def spec(sd_model: nn.Module) -> ModelSpec:
    """What it is made of; the device is the one that computes, wherever the parts wait."""
    from modules import devices

    family, variant = detected(sd_model)
    unet, towers = sd_model.model.diffusion_model, text_towers(sd_model)
    parts = {"unet": unet, "vae": sd_model.first_stage_model} | {
        f"text_encoder_{i + 1}": tower for i, tower in enumerate(towers)
    }
    shapes = {
        part: {plain(name): tuple(tensor.shape) for name, tensor in module.named_parameters()}
        for part, module in parts.items()
    }
    return ModelSpec(shapes, next(unet.parameters()).dtype, devices.device, variant, family)


def spec_of_file(path: str | Path) -> ModelSpec:
    """The same of a file that is not loaded: the WebUI brings it to its own number format."""
    from modules import devices

    file_header = header.read(Path(path))
    family, variant = detect(file_header)
    return ModelSpec(family.shapes(file_header), devices.dtype_unet, devices.device, variant, family)


def first_wrapper(sd_model: nn.Module) -> nn.Module:
    conditioner = getattr(sd_model, "conditioner", None)
    return sd_model.cond_stage_model if conditioner is None else conditioner.embedders[0]


class Tokenizer:
    """The WebUI's own tokenizer: `tokenizer(text) -> ids` without start, end and padding."""

    def __init__(self, wrapper: Any) -> None:
        self.wrapper = wrapper
        self.start, self.end, self.pad = wrapper.id_start, wrapper.id_end, wrapper.id_pad

    def __call__(self, text: str) -> list[int]:
        return list(self.wrapper.tokenize([text])[0])


def embeddings(family: Family, sd_model: nn.Module) -> dict[str, torch.Tensor]:
    """Name -> vectors of the embeddings that prompts can name with this model, those of several towers side by side."""
    listed = forks.current().embedding_databases(sd_model)[0].word_embeddings
    return {name: rows.detach() for name, embedding in listed.items()
            if (rows := rows_of(embedding.vec, family.embedding_keys)) is not None}


def rows_of(vectors: Any, keys: Sequence[str]) -> torch.Tensor | None:
    """(n, D) of what the WebUI keeps: a tensor, or one tensor per tower by these keys; None for anything else."""
    if isinstance(vectors, dict):
        return torch.cat([vectors[key] for key in keys], dim=1) if set(keys) <= set(vectors) else None
    return vectors if isinstance(vectors, torch.Tensor) else None
