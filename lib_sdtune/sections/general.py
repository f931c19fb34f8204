"""The settings of every run, put together, and what they are asked. A method's own section comes to them in
`lib_sdtune.config`, above the methods; whatever lies below reads a run's settings as these.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from lib_sdtune.declaration import option, section
from lib_sdtune.registry import registered
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.loss import LossConfig
from lib_sdtune.sections.model import Model
from lib_sdtune.sections.noise import NoiseConfig
from lib_sdtune.sections.sample import SampleConfig
from lib_sdtune.sections.save import SaveConfig
from lib_sdtune.sections.train import TrainConfig
from lib_sdtune.sections.validation import ValidationConfig


class BaseConfig:
    """One run."""

    explicit: dict[str, Any] = {}  # the settings that somebody gave, nested; the rest suits the model, or is a default
    name: str
    method: str

    def to_dict(self) -> dict[str, Any]:
        """Complete, as `config.json` of the run folder keeps it."""
        return asdict(self)  # type: ignore[call-overload]  # its heirs are dataclasses

    @property
    def settings(self) -> Any:
        """The section of the chosen method (`config.lora`, …); None in settings that have none for it."""
        return getattr(self, self.method, None)

    @property
    def word(self) -> str:
        """What [name] stands for in prompt templates: the word that is taught, where the method teaches one
        ("token").
        """
        return getattr(self.settings, "token", "") or self.name


@dataclass
class GeneralConfig(BaseConfig):
    """The settings of every run, whatever its method."""

    name: str = field(metadata={"help": "what the run and its file are called.", "label": "Name"})
    concepts: list[Concept] = field(metadata={"help": "one or more groups of pictures, each with \"images\"."})
    method: str = option("lora", "lora for most.", choices=registered("methods"))
    overwrite: bool = option(False, "Replace an existing file of that name.", label="Replace a file of that name")
    model: Model = section(Model, "Model")
    dataset: DatasetConfig = section(DatasetConfig, "Pictures and captions")
    train: TrainConfig = section(TrainConfig, "Training")
    noise: NoiseConfig = section(NoiseConfig, "Noise")
    loss: LossConfig = section(LossConfig, "Loss")
    save: SaveConfig = section(SaveConfig, "Saving")
    sample: SampleConfig = section(SampleConfig, "Samples")
    validation: ValidationConfig = section(ValidationConfig, "Validation")


def rates_of(settings: Any) -> dict[str, Any]:
    """The learning rates of a method's section: what is called "lr", or ends in "_lr"."""
    return {key: rate for key, rate in vars(settings).items() if key == "lr" or key.endswith("_lr")}
