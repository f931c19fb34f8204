"""Which checkpoint a run trains, and as what."""

from dataclasses import dataclass

from lib_sdtune.declaration import Weighted, option


@dataclass
class Model:
    """Which checkpoint is trained."""

    checkpoint: str = option(
        "", "Empty trains the checkpoint that is loaded; otherwise the name or file of another one.",
        label="Checkpoint")
    clip_skip: int = option(1, "1 for most models, 2 for anime models trained that way.",
                            label="Training clip skip", low=1, high=12)
    prediction_type: str = option("auto", "auto believes the checkpoint; else what its maker says it predicts.",
                                  label="Prediction type", choices=["auto", "epsilon", "v_prediction"])
    base_loras: list[Weighted] = option(
        [], "LoRAs that stay on the model while it trains and are not in the result, one a line: a name, or name:0.8.",
        label="Train on top of LoRAs")
