"""Forge's diffusion engine in the shape of A1111's model: its own modules, under the names that ldm and sgm give them.

An engine is no module itself, and keeps its parts in patchers. Whatever walks a model by its names walks this one.
"""

from typing import Any

import torch
from torch import nn

from lib_sdtune.ldm.header import V


class EngineModel(nn.Module):
    """engine: a `ForgeDiffusionEngine` for which `is_sd1` or `is_sdxl` holds."""

    def __init__(self, engine: Any) -> None:
        super().__init__()
        self.engine = engine
        objects = engine.forge_objects_original
        self.model = nn.Module()
        self.model.diffusion_model = objects.unet.model.diffusion_model
        self.first_stage_model = objects.vae.first_stage_model
        encoders = objects.clip.cond_stage_model
        if is_sd1(engine):
            self.cond_stage_model = TextStage(encoders.clip_l, engine.text_processing_engine)
        else:
            first = TextStage(encoders.clip_l, engine.text_processing_engine_l)
            second = TextStage(encoders.clip_g, engine.text_processing_engine_g, projected=True)
            self.conditioner = nn.Module()
            self.conditioner.embedders = nn.ModuleList([first, second])
        self.is_sd1, self.is_sd2, self.is_sdxl, self.is_sd3 = is_sd1(engine), False, is_sdxl(engine), False

    @property
    def sd_checkpoint_info(self) -> Any:
        return self.engine.sd_checkpoint_info

    @property
    def sd_model_hash(self) -> str:
        return self.engine.sd_model_hash

    @property
    def predictor(self) -> Any:
        """What knows the schedule, and turns the UNet's answer into a picture without noise."""
        return self.engine.forge_objects_original.unet.model.predictor

    @property
    def parameterization(self) -> str:
        return "v" if self.predictor.prediction_type == V else "eps"

    @property
    def alphas_cumprod(self) -> torch.Tensor:
        """(1000,): the trained schedule, also while a picture is drawn with another one."""
        return self.predictor.alphas_cumprod.clone()

    def text_stages(self) -> list["TextStage"]:
        return [self.cond_stage_model] if self.is_sd1 else list(self.conditioner.embedders)


def is_sd1(engine: Any) -> bool:
    return getattr(engine, "is_sd1", False)


def is_sdxl(engine: Any) -> bool:
    """Not for its refiner, which the engines call by the same name and which has one text encoder alone."""
    return getattr(engine, "is_sdxl", False) and hasattr(engine, "text_processing_engine_l")


class TextStage(nn.Module):
    """A text encoder as A1111 has it: `transformer` under the checkpoint's names, and the tokenizer around it.

    encoder: the engine's part. projected: whether its projection is one of the checkpoint's; it has one in any case.
    """

    def __init__(self, encoder: nn.Module, text_processing_engine: Any, projected: bool = False) -> None:
        super().__init__()
        self.transformer = nn.Module()
        self.transformer.text_model = encoder.transformer.text_model
        if projected:
            self.transformer.text_projection = encoder.transformer.text_projection
        self.processing = text_processing_engine
        self.id_start, self.id_end = text_processing_engine.id_start, text_processing_engine.id_end
        self.id_pad = text_processing_engine.id_pad

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Ids without start, end and padding."""
        return self.processing.tokenize(texts)

    @property
    def embeddings(self) -> Any:
        """The textual-inversion embeddings that prompts may name."""
        return self.processing.embeddings
