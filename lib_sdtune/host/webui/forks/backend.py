"""Forge and Forge Neo: a diffusion engine around parts of its own (`backend`), all made in torch's inference mode.

Nothing is loaded before the first picture. What the page's drop-down changes is what the next picture asks for, so that
alone says which checkpoint a user has chosen.
"""

import sys
import weakref
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from modules import processing, sd_models
from torch import nn

from lib_sdtune.errors import UserError
from lib_sdtune.families.variant import Variant
from lib_sdtune.host.webui.forks.engine import EngineModel, is_sd1, is_sdxl
from lib_sdtune.host.webui.forks.lent_parameters import LentParameters
from lib_sdtune.host.webui.forks.patched import Patched, take_loras_off
from lib_sdtune.host.webui.forks.stock import CHECKPOINTS_VAE
from lib_sdtune.swap import replaced


class Backend(Patched):
    options = ()  # the page notes its choices and the next picture follows them, so that none need be deferred

    def __init__(self) -> None:
        self.models: weakref.WeakValueDictionary[int, EngineModel] = weakref.WeakValueDictionary()
        self.draws_for_us = False

    def shaped(self, engine: Any) -> EngineModel:
        """The engine in A1111's shape, the same object for as long as somebody has it."""
        model = self.models.get(id(engine))
        if model is None or model.engine is not engine:
            model = self.models[id(engine)] = EngineModel(engine)
        return model

    def loaded(self) -> nn.Module | None:
        """None also for a model of another family, which `check_family` refuses."""
        engine = sd_models.model_data.sd_model
        return self.shaped(engine) if is_sd1(engine) or is_sdxl(engine) else None

    def checkpoint(self) -> Any | None:
        return sd_models.model_data.forge_loading_parameters.get("checkpoint_info")

    def model(self) -> nn.Module | None:
        if self.checkpoint() is None:
            return None
        engine, _ = sd_models.forge_model_reload()
        if not (is_sd1(engine) or is_sdxl(engine)):
            raise UserError(f"{self.checkpoint().title} is loaded as {type(engine).__name__}; on this WebUI, SD Tune "
                            "works with Stable Diffusion 1 and XL alone.")
        return self.shaped(engine)

    @contextmanager
    def holding(self, info: Any | None) -> Iterator[nn.Module | None]:
        """The one before comes back with the next picture that asks for it."""
        data = sd_models.model_data
        before = parameters = data.forge_loading_parameters
        if info is not None and (self.checkpoint() is None or self.checkpoint().filename != info.filename):
            parameters = data.forge_loading_parameters = before | {"checkpoint_info": info}
        try:
            yield self.model()
        finally:
            if data.forge_loading_parameters is parameters:  # else the user has chosen another one meanwhile
                data.forge_loading_parameters = before

    @contextmanager
    def pinned(self, sd_model: nn.Module, sentence: str) -> Iterator[None]:
        engine, ours = sd_model.engine, sd_model.sd_checkpoint_info.filename

        def forge_model_reload():
            if not self.draws_for_us and self.checkpoint().filename != ours:
                raise RuntimeError(sentence)
            return engine, False

        def unload_model_weights(sd_model=None, info=None):
            raise RuntimeError(sentence)

        with ExitStack() as stack:
            for module in (sd_models, processing):  # the second has imported it by name
                stack.enter_context(replaced(module, "forge_model_reload", forge_model_reload))
            stack.enter_context(replaced(sd_models, "unload_model_weights", unload_model_weights))
            yield

    @contextmanager
    def settled(self, sd_model: nn.Module, parameters: LentParameters) -> Iterator[None]:
        with super().settled(sd_model, parameters), replaced(self, "draws_for_us", True):
            yield

    def unload_patches(self, sd_model: nn.Module) -> None:
        from backend import memory_management

        take_loras_off(sd_model.engine)
        memory_management.unload_all_models()
        objects = sd_model.engine.forge_objects_original
        for patcher in (objects.unet, objects.clip.patcher):
            if hasattr(patcher, "refresh_loras"):  # Forge leaves them in when it unloads
                patcher.refresh_loras()

    @contextmanager
    def predicting(self, sd_model: nn.Module, variant: Variant) -> Iterator[None]:
        with replaced(sd_model.predictor, "prediction_type", variant.prediction_type):
            yield

    def script_runner(self) -> None:
        return None

    def forget_lora(self, networks: ModuleType, name: str, sd_model: nn.Module | None) -> None:
        if hasattr(networks.load_lora_state_dict, "cache_clear"):
            networks.load_lora_state_dict.cache_clear()
        if sd_model is not None:
            self.unload_patches(sd_model)

    def lora_layers(self, networks: ModuleType, network: Any, sd_model: nn.Module) -> Collection[str]:
        objects = sd_model.engine.forge_objects_original
        return {*networks.model_lora_keys_unet(objects.unet.model, {}),
                *networks.model_lora_keys_clip(objects.clip.cond_stage_model, {})}

    def embedding_databases(self, sd_model: nn.Module | None) -> list[Any]:
        return [] if sd_model is None else [stage.embeddings for stage in sd_model.text_stages()]

    def make_embedding(self, vectors: Any, name: str) -> Any:
        return sys.modules["backend.text_processing.textual_inversion"].Embedding(vectors, name)

    def register_embedding(self, database: Any, name: str, embedding: Any | None, sd_model: nn.Module) -> None:
        database.register_embedding_by_name(embedding, name)

    def reload_embeddings(self, sd_model: nn.Module | None) -> None:
        for database in self.embedding_databases(sd_model):
            database.load_textual_inversion_embeddings()

    def exchanged_parts(self) -> tuple[str, ...]:
        """The page's "VAE / Text Encoder" does not say which of them a file brings."""
        others = sd_models.model_data.forge_loading_parameters.get("additional_modules")
        return ("first_stage_model.", "cond_stage_model.", "conditioner.") if others else ()

    def vae_name(self) -> str:
        """The page's "VAE / Text Encoder": all of the files, for one of them."""
        others = sd_models.model_data.forge_loading_parameters.get("additional_modules")
        return ", ".join(sorted(Path(path).name for path in others)) if others else CHECKPOINTS_VAE
