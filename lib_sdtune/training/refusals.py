"""What is refused when a run begins, before anything is drawn or encoded."""

import logging
from pathlib import Path

import torch

from lib_sdtune.config import Config
from lib_sdtune.devices import can_recompute
from lib_sdtune.errors import require
from lib_sdtune.ineffective_settings import by_model
from lib_sdtune.ldm import positions
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.methods.base import Method
from lib_sdtune.training import state
from lib_sdtune.training.memory.free import refuse_too_little_main_memory, refuse_too_little_memory
from lib_sdtune.training.model_weights import refuse_broken_weights
from lib_sdtune.training.optimizer_steps.optimizer_step import OptimizerStep
from lib_sdtune.training.results import Results

log = logging.getLogger("sdtune")


def refuse_unsuited_model(config: Config, model: LoadedModel, method: type[Method]) -> None:
    """UserError where the settings and the model cannot go together; what only goes badly together is told."""
    refuse_other_prediction(config, model.prediction_type)
    require(config.train.gradient_checkpointing != "on" or can_recompute(model.device),
            '"train.gradient_checkpointing" is "on", and with DirectML torch cannot make activations again; set it to '
            '"auto".')
    position_ids = list(map(positions.of_module, model.text_encoders))
    for sentence in by_model(config, model.family, model.resolution, position_ids):
        log.warning("%s", sentence)
    refuse_broken_weights(model, method.written_weights(config))


def refuse_other_prediction(config: Config, prediction_type: str) -> None:
    """UserError for a loss that is for models of the other kind of prediction."""
    loss = config.loss
    require(not loss.v_pred_like_loss or prediction_type == "epsilon",
            '"loss.v_pred_like_loss" is for models that predict noise, and this one predicts a velocity; set it to 0.')
    require(not loss.scale_v_pred_loss_like_noise_pred or prediction_type == "v_prediction",
            '"loss.scale_v_pred_loss_like_noise_pred" is for v-prediction models, and this one predicts noise; set it '
            "to false.")


def refuse_what_cannot_fit(config: Config, folder: Path, results: Results, optimizer_step: OptimizerStep,
                           device: torch.device) -> None:
    """As far as it can be told without the pictures: how many files epochs will make is known later."""
    results.refuse_own_source()
    refuse_too_little_memory(optimizer_step.memory(), device, config)
    refuse_too_little_main_memory(results.method.main_memory_bytes(), config)
    if not state.newest(folder):
        epochs = config.train.max_train_epochs or config.save.every_n_epochs
        results.refuse_too_little_room(0 if epochs else config.train.max_train_steps, optimizer_step.bytes())
