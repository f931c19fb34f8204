"""A run's whole config: the sections of every run (`lib_sdtune.sections`) and those of the methods, put together."""

from copy import copy
from dataclasses import asdict, dataclass, field, fields, make_dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

from lib_sdtune.declaration import build, option, section
from lib_sdtune.registry import registered
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.dataset import DatasetConfig, with_bucket_sides
from lib_sdtune.sections.loss import LossConfig
from lib_sdtune.sections.model import Model
from lib_sdtune.sections.noise import NoiseConfig
from lib_sdtune.sections.sample import SampleConfig
from lib_sdtune.sections.save import SaveConfig
from lib_sdtune.sections.train import TrainConfig
from lib_sdtune.sections.validation import ValidationConfig


@dataclass
class GeneralConfig:
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


class BaseConfig:
    """One run."""

    explicit: dict[str, Any] = {}  # the settings that somebody gave, nested; the rest suits the model, or is a default

    @classmethod
    def from_dict(cls, data: Any, defaults: dict | None = None) -> "Config":
        """A checked config; UserError in one sentence for the first thing that is wrong.

        `defaults` (nested, as `data`) suit the host's model better than the general ones; what `data` says goes first.
        """
        from lib_sdtune.contradictions import check
        from lib_sdtune.formats.plain_data import check_bounds

        check_bounds(data, "config")
        config = build(cls, laid_over(data, laid_over(defaults or {}, {})))
        suit_optimizer(config, data)
        config.explicit = data
        check(config)
        return config

    @classmethod
    def model_of(cls, data: Any, defaults: dict | None = None) -> Model:
        """The model that a config names, before its defaults are known: nothing contradicts itself yet. UserError."""
        from lib_sdtune.formats.plain_data import check_bounds

        check_bounds(data, "config")
        return build(cls, overlaid(data, defaults or {})).model

    def to_dict(self) -> dict[str, Any]:
        """Complete, as `config.json` of the run folder keeps it."""
        return asdict(self)

    @property
    def settings(self) -> Any:
        """The section of the chosen method (`config.lora`, …)."""
        return getattr(self, self.method)

    @property
    def word(self) -> str:
        """What [name] stands for in prompt templates: the word that is taught, where the method teaches one
        ("token").
        """
        return getattr(self.settings, "token", "") or self.name


def overlaid(data: Any, defaults: Any) -> Any:
    """`defaults` with `data` laid over them, group by group; lists are taken whole."""
    if not (isinstance(data, dict) and isinstance(defaults, dict)):
        return data
    return {**defaults, **{key: overlaid(value, defaults.get(key)) for key, value in data.items()}}


def laid_over(data: Any, defaults: dict) -> Any:
    """`overlaid`, where bucket sides that `data` does not set go along with a resolution that it sets."""
    settings = overlaid(data, defaults)
    own, below = (part.get("dataset") if isinstance(part, dict) else None for part in (data, defaults))
    if not isinstance(own, dict):
        return settings
    below = below if isinstance(below, dict) else {}
    return settings | {"dataset": overlaid(with_bucket_sides(own, below), below)}


def suit_optimizer(config: "Config", data: dict) -> None:
    """Rate 1 for what learns, where `data` says nothing else and the optimizer finds its rate itself."""
    from lib_sdtune import optim

    if optim.finds_rate(config.train.optimizer):
        for key, rate in rates_of(config.settings).items():
            if key not in data.get(config.method, {}) and rate:
                setattr(config.settings, key, 1.0)


def rates_of(settings: Any) -> dict[str, Any]:
    """The learning rates of a method's section: what is called "lr", or ends in "_lr"."""
    return {key: rate for key, rate in vars(settings).items() if key == "lr" or key.endswith("_lr")}


def compose() -> type:
    """`Config`: `GeneralConfig` with the section of every method, `config.lora` and so on, behind "dataset"."""
    from lib_sdtune.methods import in_order

    methods = [(method.name, method.Settings, section(method.Settings, method.title)) for method in in_order()]
    general = [(declared.name, declared.type, copy(declared)) for declared in fields(GeneralConfig)]
    position = [name for name, _, _ in general].index("train")
    return make_dataclass("Config", [*general[:position], *methods, *general[position:]], bases=(BaseConfig,),
                          namespace={"__doc__": BaseConfig.__doc__, "__module__": __name__})


if TYPE_CHECKING:

    class Config(GeneralConfig, BaseConfig):
        """As `compose` makes it."""

        def __getattr__(self, section: str) -> Any: ...


_composing = RLock()


def __getattr__(name: str) -> Any:
    """`Config` is composed when it is first asked for: the methods import torch, and declaring settings must not."""
    if name != "Config":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _composing:
        if "Config" not in globals():
            globals()["Config"] = compose()
    return globals()["Config"]
