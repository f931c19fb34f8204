"""A run's whole config: the sections of every run (`lib_sdtune.sections`) and those of the methods, put together."""

from copy import copy
from dataclasses import fields, make_dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

from lib_sdtune import optim
from lib_sdtune.contradictions import check
from lib_sdtune.declaration import build, section
from lib_sdtune.formats.plain_data import check_bounds, overlaid
from lib_sdtune.methods import in_order
from lib_sdtune.sections.dataset import with_bucket_sides
from lib_sdtune.sections.general import BaseConfig, GeneralConfig, rates_of
from lib_sdtune.sections.model import Model


class CheckedConfig(BaseConfig):
    """One run, read from plain data."""

    @classmethod
    def from_dict(cls, data: Any, defaults: dict | None = None) -> "Config":
        """A checked config; UserError in one sentence for the first thing that is wrong.

        `defaults` (nested, as `data`) suit the host's model better than the general ones; what `data` says goes first.
        """
        check_bounds(data, "config")
        config = build(cls, laid_over(data, laid_over(defaults or {}, {})))
        suit_optimizer(config, data)
        config.explicit = data
        check(config)
        return config

    @classmethod
    def model_of(cls, data: Any, defaults: dict | None = None) -> Model:
        """The model that a config names, before its defaults are known: nothing contradicts itself yet. UserError."""
        check_bounds(data, "config")
        return build(cls, overlaid(data, defaults or {})).model


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
    if optim.finds_rate(config.train.optimizer):
        for key, rate in rates_of(config.settings).items():
            if key not in data.get(config.method, {}) and rate:
                setattr(config.settings, key, 1.0)


def compose() -> type:
    """`Config`: `GeneralConfig` with the section of every method, `config.lora` and so on, behind "dataset"."""
    methods = [(method.name, method.Settings, section(method.Settings, method.title)) for method in in_order()]
    general = [(declared.name, declared.type, copy(declared)) for declared in fields(GeneralConfig)]
    position = [name for name, _, _ in general].index("train")
    return make_dataclass("Config", [*general[:position], *methods, *general[position:]], bases=(CheckedConfig,),
                          namespace={"__doc__": BaseConfig.__doc__, "__module__": __name__})


if TYPE_CHECKING:

    class Config(GeneralConfig, CheckedConfig):
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
