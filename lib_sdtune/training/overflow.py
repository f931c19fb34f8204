"""Why a run's numbers stopped being finite: which side is at fault, and what helps on that side.

Broken weights and embeddings are refused before the first step, and pictures of which no latents can be made when they
are encoded. What is left is the model itself, damaged meanwhile or too large for the number format, or the learning
rate.
"""

from collections.abc import Callable, Collection
from functools import partial

import torch

from lib_sdtune.config import Config
from lib_sdtune.devices import HALVES
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.methods.base import Method
from lib_sdtune.training.attachment import Attachment
from lib_sdtune.training.batch import draw
from lib_sdtune.training.model_weights import peaks
from lib_sdtune.training.objective import Objective
from lib_sdtune.training.optimizer_steps.optimizer_step import OptimizerStep
from lib_sdtune.training.step_result import StepResult
from lib_sdtune.training.training_data import TrainingData

NAMES = {torch.float16: "half precision (float16)", torch.bfloat16: "half precision (bfloat16)"}
RATE = "The model's own weights and the pictures are sound, so it is the learning rate. Lower the learning rate."
FORMAT = ("{}, so the learning rate is not the reason: this model overflows in {}. "
          'Set "train.mixed_precision" to "no".')
FLOAT32 = ("{}, so the learning rate is not the reason: this checkpoint's weights give such numbers even in float32. "
           "Choose another checkpoint, or leave out the settings of noise and loss that you changed.")


def diagnose(model: LoadedModel, learning: Collection[torch.Tensor], dtype: torch.dtype, applied_steps: int,
             answers_without: Callable[[], bool] | None) -> str:
    """Sentences for steps whose numbers were not finite.

    learning: the tensors that learn, which are not the model's own. dtype: what the forward computes in. applied_steps:
    how many steps changed anything. answers_without(): whether the model's answers are finite without what is learned;
    None where the two cannot be told apart.
    """
    for name, _, peak in peaks(model, without=learning):
        if not peak < torch.inf:
            return (f"{name} of the loaded model has values that are not numbers, which it had not at the start. "
                    "Load the checkpoint again, without the extension that changed it, and resume.")
    if not applied_steps:
        evidence = "It was so before anything was learned"
    elif answers_without is not None and not answers_without():
        evidence = "It is so without what was learned, too"
    else:
        return RATE
    return FORMAT.format(evidence, NAMES[dtype]) if dtype in HALVES else FLOAT32.format(evidence)


class Diagnosis:
    """Why the numbers of a step overflowed, asked of the run's own parts."""

    def __init__(self, config: Config, model: LoadedModel, method: Method, objective: Objective,
                 optimizer_step: OptimizerStep, attachment: Attachment, training_data: TrainingData) -> None:
        self.config, self.model, self.method, self.objective = config, model, method, objective
        self.optimizer_step, self.attachment, self.training_data = optimizer_step, attachment, training_data

    def reason(self, result: StepResult, applied: int) -> str:
        """Which side is at fault, and what helps, after so many steps that were applied."""
        learning = [trained.weight for trained in self.optimizer_step.trained_weights]
        answers_without = partial(self.is_finite_without, result) if self.method.cheap_to_detach else None
        return diagnose(self.model, learning, self.objective.dtype, applied, answers_without)

    def is_finite_without(self, result: StepResult) -> bool:
        """Whether the model without its add-on has finite losses for the pictures of a step."""
        examples = result.micro_batches[0].examples
        batch = draw(examples, result.number, self.training_data.cache, self.config).to(self.model.device)
        with torch.no_grad(), self.attachment.without_addon():
            return bool(torch.isfinite(self.objective.losses(batch)).all())
