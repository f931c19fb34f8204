"""The tab's fields, read off the declarations of `lib_sdtune.config`: a setting declared there is in the form."""

import dataclasses
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lib_sdtune import config, declaration
from lib_sdtune.sections.concept import Concept
from lib_sdtune.ui import labels

FURTHER = "further_concepts"
FURTHER_HELP = 'Empty for one; else a list such as [{"images": "train/5_cup", "prompt": "a photo of my cup"}].'


@dataclass(frozen=True)
class Field:
    """One setting. `path` is the config's (`lora.dim`), `concept.…` standing for `concepts[0].…`."""

    path: str
    kind: str
    default: Any
    label: str
    info: str
    choices: tuple = ()
    low: float | None = None
    high: float | None = None

    @property
    def section(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def elem_id(self) -> str:
        fixed = {"name": "sdtune_name", "method": "sdtune_method", "concept.images": "sdtune_images"}
        return fixed.get(self.path, "sdtune_" + self.path.replace(".", "_"))


def declared() -> list[Field]:
    """Every `Field`, in the order of the declarations."""
    fields: list[Field] = []
    used_labels: set[str] = set()
    for path, cls, setting in settings():
        field = describe(path, cls, setting, used_labels)
        used_labels.add(field.label)
        fields.append(field)
    return [*fields, Field(FURTHER, "json_list", [], "Further concepts", FURTHER_HELP)]


def settings() -> Iterator[tuple[str, type, dataclasses.Field]]:
    """(path, class, dataclass field) of every setting, sections unfolded."""
    for field in dataclasses.fields(config.Config):
        if "section" in field.metadata:
            section = field.metadata["section"]
            yield from ((f"{field.name}.{inner.name}", section, inner) for inner in dataclasses.fields(section))
        elif field.name == "concepts":
            yield from ((f"concept.{inner.name}", Concept, inner) for inner in dataclasses.fields(Concept))
        else:
            yield field.name, config.Config, field


def describe(path: str, cls: type, setting: dataclasses.Field, used_labels: Collection[str] = ()) -> Field:
    """The `Field` of the dataclass field `setting` of `cls`."""
    facts, choices = setting.metadata, declaration.choices(setting) or ()
    hint = declaration.hint(cls, setting.name)
    values = ("auto",) if hint == declaration.Auto else choices
    low = facts.get("low") if facts.get("low") is not None else facts.get("above")
    return Field(path, kind(hint, facts), default(setting),
                 labels.label(path, used_labels, facts.get("label", "")), info(facts.get("help", ""), values),
                 tuple(choices), low, facts.get("high"))


def info(text: str, choices: Iterable[object]) -> str:
    """The help, beginning with a capital unless it begins with a value."""
    names_value = text.split(" ")[0].strip(".,;:") in map(str, choices)
    return text if names_value else text[:1].upper() + text[1:]


def default(setting: dataclasses.Field) -> Any:
    return "" if declaration.required(setting) else declaration.default_of(setting)


def kind(hint: Any, facts: Mapping[str, Any]) -> str:
    """How a value is typed in: bool, int, float, text, rate, auto, choice, optional, lines, weighted, numbers or
    json.
    """
    if facts.get("choices"):
        return "choice"
    if hint in (declaration.Rate, declaration.Auto):
        return "rate" if hint == declaration.Rate else "auto"
    if hint in (bool, int, float):
        return hint.__name__
    if type(None) in typing.get_args(hint):
        return "optional"
    if typing.get_origin(hint) is list:
        return {str: "lines", declaration.Weighted: "weighted"}.get(typing.get_args(hint)[0], "numbers")
    return "json" if hint is dict else "text"
