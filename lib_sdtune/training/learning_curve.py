"""The learning curve: a row of the log for every step, what validation measures, and what both say about the run."""

from lib_sdtune.config import Config
from lib_sdtune.methods.base import Method
from lib_sdtune.training.automatic_length import AutomaticLength, measured_every
from lib_sdtune.training.control import Control
from lib_sdtune.training.log_csv import LogCsv
from lib_sdtune.training.objective import Objective
from lib_sdtune.training.overfitting import assess
from lib_sdtune.training.parallel import World
from lib_sdtune.training.step_result import Step
from lib_sdtune.training.training_data import TrainingData
from lib_sdtune.training.validation import Validation


class LearningCurve:
    """longest: steps that the run takes at most. resume_from: the step that its rows so far are kept up to."""

    def __init__(self, config: Config, training_data: TrainingData, objective: Objective, control: Control,
                 longest: int, resume_from: int, world: World) -> None:
        self.control, self.world = control, world
        self.validation = Validation(config, training_data, objective.losses, objective.model.device,
                                     measured_every(config, longest))
        self.log = LogCsv(control.folder, resume_from=resume_from, writes=world.is_main_process)
        self.length = AutomaticLength(config.train, control.folder, longest)

    def is_measured(self, step: Step) -> bool:
        """Whether validation is due after this step."""
        return self.validation.is_due(step)

    def add(self, step: Step, norm: float, measured: dict[str, float]) -> bool:
        """Write a step's row; norm: of its gradients. Whether the run may end at this step because it is the best."""
        self.log.write(step.row(norm) | measured)
        if measured:
            self.report_overfitting()
        return bool(measured) and self.length.is_best(self.log.rows)

    def total(self) -> int:
        """Steps of the run as far as its rows tell: where it ends by itself, it ends when what is measured says so."""
        return self.world.broadcast(self.length.total(self.log.rows))

    def go_back(self, method: Method, step: int) -> int:
        """At the end, give what is trained its best values, where the run ends by itself; the step that they are of."""
        best = self.length.go_back(method, step, self.log.rows)
        self.control.message = self.length.sentence(self.log.rows, step, best) or self.control.message
        return best

    def report_overfitting(self, ended: bool = False) -> None:
        self.control.facts["validation"] = assess(self.log.rows, ended)
