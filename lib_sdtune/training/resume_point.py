"""Collects the resume point from the run's parts, writes it as a state file and restores them from it."""

from dataclasses import asdict
from pathlib import Path

from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.methods.base import Method
from lib_sdtune.training import log_csv, resume_checks, resume_inputs, state
from lib_sdtune.training.optimizer_steps.optimizer_step import OptimizerStep
from lib_sdtune.training.per_image_loss import PerImageLoss
from lib_sdtune.training.skipped_steps import SkippedSteps
from lib_sdtune.training.timestep_sampling import TimestepSampling
from lib_sdtune.training.training_data import TrainingData


class ResumePoint:
    """Reads and writes the state of a run; the names in it are those of earlier versions."""

    def __init__(self, folder: Path, model: LoadedModel, training_data: TrainingData, method: Method,
                 optimizer_step: OptimizerStep, skipped_steps: SkippedSteps, per_image_loss: PerImageLoss,
                 timestep_sampling: TimestepSampling, base_loras: str = "") -> None:
        """base_loras: what tells the LoRAs that stay on the model from others."""
        self.folder, self.model, self.scan, self.method = folder, model, training_data.scan, method
        self.inputs = resume_inputs.inputs_of(training_data)
        self.optimizer_step, self.skipped_steps, self.per_image_loss = optimizer_step, skipped_steps, per_image_loss
        self.timestep_sampling, self.base_loras = timestep_sampling, base_loras

    def load(self) -> int:
        """Take over the newest state, if there is one; the step that it is of, 0 for none.

        UserError where it is of another model, of other LoRAs on it, or of other pictures.
        """
        path = state.newest(self.folder)
        if not path:
            return 0
        learned, training_state = state.load(path)
        resume_checks.refuse_other_model(training_state.get("model"), resume_checks.model_identity(self.model))
        resume_checks.refuse_other_base_loras(training_state.get("base_loras"), self.base_loras)
        if "sameness" in training_state:
            resume_checks.refuse_other_data(training_state["sameness"], resume_checks.data_fingerprint(self.scan))
        resume_inputs.compare(training_state.get("inputs"), self.inputs)
        self.method.load_tensors(learned)
        self.optimizer_step.load(training_state)
        self.skipped_steps.load(training_state)
        self.optimizer_step.scale.load(training_state["scale"])
        if "board" in training_state:
            self.per_image_loss.load(training_state["board"])
        if training_state.get("timesteps"):
            self.timestep_sampling.load(training_state["timesteps"])
        return training_state["step"]

    def save(self, step: int) -> Path:
        """Write the state of this moment; its path. The log is on the disk before it: what was measured decides how the
        run goes on.
        """
        log_csv.sync_rows(self.folder)
        extra = {
            "skipped": self.skipped_steps.skipped,
            "without_path": self.skipped_steps.without_path,
            "scale": self.optimizer_step.scale.numbers(),
            "board": self.per_image_loss.state(),
            "timesteps": self.timestep_sampling.state(),
            "model": resume_checks.model_identity(self.model),
            "base_loras": self.base_loras,
            "inputs": asdict(self.inputs),
            "sameness": resume_checks.data_fingerprint(self.scan),
        }
        return state.save(self.folder, step, self.method.tensors(), self.optimizer_step, extra)
