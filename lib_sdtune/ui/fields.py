"""The tab's fields, read off the declarations of `lib_sdtune.config`: a setting declared there is in the form."""

import dataclasses
import typing
from dataclasses import dataclass
from typing import Any

from lib_sdtune import config, declaration
from lib_sdtune.ui import labels

FURTHER = "further_concepts"


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
    def section(self):
        return self.path.rpartition(".")[0]

    @property
    def elem_id(self):
        fixed = {"name": "sdtune_name", "method": "sdtune_method", "concept.images": "sdtune_images"}
        return fixed.get(self.path, "sdtune_" + self.path.replace(".", "_"))


def declared():
    """Every `Field`, in the order of the declarations."""
    found, taken = [], set()
    for path, cls, field in walk():
        made = describe(path, cls, field, taken)
        taken.add(made.label)
        found.append(made)
    found.append(Field(FURTHER, "json_list", [], "Further concepts",
                       'Empty for one; else a list such as [{"images": "train/5_cup", "prompt": "a photo of my cup"}].'))
    return found


def walk():
    """(path, class, dataclass field) of every setting, sections unfolded."""
    for field in dataclasses.fields(config.Config):
        if "section" in field.metadata:
            inner = field.metadata["section"]
            yield from ((f"{field.name}.{one.name}", inner, one) for one in dataclasses.fields(inner))
        elif field.name == "concepts":
            yield from ((f"concept.{one.name}", config.Concept, one) for one in dataclasses.fields(config.Concept))
        else:
            yield field.name, config.Config, field


def describe(path, cls, field, taken):
    facts, known = field.metadata, declaration.choices(field) or ()
    low = facts.get("low") if facts.get("low") is not None else facts.get("above")
    how = kind(declaration.hint(cls, field.name), facts)
    text = info(facts.get("help", ""), known)
    return Field(path, how, default(field), labels.label(path, taken, facts.get("label", "")), text, tuple(known), low, facts.get("high"))


def info(text, known):
    """The help, beginning with a capital unless it begins with a value."""
    names_value = text.split(" ")[0].strip(".,;:") in map(str, known)
    return text if names_value else text[:1].upper() + text[1:]


def default(field):
    if field.default is not dataclasses.MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else ""


def kind(hint, facts):
    """How a value is typed in: bool, int, float, text, rate, choice, optional, lines, numbers or json."""
    if facts.get("choices"):
        return "choice"
    if hint == declaration.Rate:
        return "rate"
    if hint in (bool, int, float):
        return hint.__name__
    if type(None) in typing.get_args(hint):
        return "optional"
    if typing.get_origin(hint) is list:
        return "lines" if typing.get_args(hint)[0] is str else "numbers"
    return "json" if hint is dict else "text"
