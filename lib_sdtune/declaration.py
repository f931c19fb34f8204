"""Settings declared once: a dataclass field carries its default, help and limits, and everything else is read off it.

`build` makes a section from plain data and refuses what it does not know; `schema` gives the same facts as JSON Schema.
"""

import dataclasses
import datetime
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import Field
from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.registry import nearest
from lib_sdtune.sentences import phrase
from lib_sdtune.unknown_settings import suggestion

Rate = float | str
Auto = int | str
"""A whole number, or the word "auto"."""
Weighted = tuple[str, float]
"""["ron", 0.8]: a name and how strongly it counts. The texts "ron:0.8", "<lora:ron:0.8>" and "ron" (1) are read too."""
NUMBER = r"\s*(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*"
SCHEDULE = rf"^{NUMBER}(:\s*-?\d+\s*)?(,{NUMBER}(:\s*-?\d+\s*)?)*(,\s*)*$"
"""A learning rate: a number, or the WebUI's schedule text such as "5e-3:200, 1e-3"."""


def option(default: Any, help: str, *, label: str = "", low: float | None = None, high: float | None = None,
           above: float | None = None, choices: "list | Callable[[], list] | None" = None, unit: str = "",
           pattern: tuple[str, str] | None = None) -> Any:
    """A field with its default, one sentence of help, inclusive limits `low`..`high`, exclusive lower limit `above`.

    `label` is what the tab calls it; without one its name is made one.
    `choices` is a list, or a function that gives one (a registry's `names`, say).
    `pattern` is an expression that a text must match whole, and what it asks for in words.
    """
    facts = {"help": help, "label": label, "low": low, "high": high, "above": above, "choices": choices, "unit": unit,
             "pattern": pattern}
    if isinstance(default, list | dict):
        start = default
        return dataclasses.field(default_factory=lambda: type(start)(start), metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


def section(cls: type, title: str) -> Any:
    """A field that is itself a declared section; `title` is what the tab calls it."""
    return dataclasses.field(default_factory=cls, metadata={"title": title, "section": cls})


def sections(cls: type) -> dict[str, tuple[type, str]]:
    """name -> (declared section, its title)."""
    return {field.name: (field.metadata["section"], field.metadata["title"])
            for field in dataclasses.fields(cls) if "section" in field.metadata}


def hint(cls: type, name: str) -> Any:
    """The declared type of a field."""
    return typing.get_type_hints(cls)[name]


def choices(field: Field) -> list | None:
    """What the field's value may be; None where it is not one of a few."""
    allowed = field.metadata.get("choices")
    return list(allowed() if callable(allowed) else allowed) if allowed else None


def build(cls: type, data: Any, where: str = "", root: type | None = None) -> Any:
    """An instance of `cls` from a dict; UserError names the key, what is wrong with it, and what would be right.

    root: the settings that it is a section of.
    """
    if not isinstance(data, dict):
        raise UserError(f'"{where or "config"}" must be a group of settings, not {describe(data)}.')
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in data:
        if key not in fields:
            raise UserError(f'"{join(where, key)}" is not a setting{suggestion(str(key), cls, root or cls)}.')
    values = {key: checked(cls, fields[key], data[key], join(where, key), root or cls) for key in data}
    missing = [name for name, field in fields.items() if name not in data and required(field)]
    if missing:
        help_text = fields[missing[0]].metadata["help"]
        raise UserError(phrase(f'"{join(where, missing[0])}" is missing: {help_text}'))
    return cls(**values)


def required(field: Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def default_of(field: Field) -> Any:
    """The default of a field that has one."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def join(where: str, key: Any) -> str:
    return f"{where}.{key}" if where else str(key)


def checked(cls: type, field: Field, value: Any, where: str, root: type) -> Any:
    """The value of one field, converted and within its limits. root: see `build`."""
    kind = hint(cls, field.name)
    if "section" in field.metadata:
        return build(field.metadata["section"], value, where, root)
    if typing.get_origin(kind) is list and dataclasses.is_dataclass(typing.get_args(kind)[0]):
        if not isinstance(value, list) or not value:
            raise UserError(f'"{where}" must be a list with at least one entry.')
        return [build(typing.get_args(kind)[0], entry, f"{where}[{i}]", root) for i, entry in enumerate(value)]
    if isinstance(value, bool) and {"on", "off"} <= set(choices(field) or ()):
        value = "on" if value else "off"
    result = convert(kind, value, where)
    check_limits(field, result, where)
    return result


def convert(kind: Any, value: Any, where: str) -> Any:
    """`value` as the declared type; integers pass for floats, nothing else is converted."""
    if kind == Auto and isinstance(value, str) and value != "auto":
        raise UserError(f'"{where}" must be a whole number or "auto", not {describe(value)}.')
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    accepted = typing.get_args(kind) if union else (kind,)
    for target in accepted:
        if target is type(None) and value is None:
            return None
        if target is bool and isinstance(value, bool):
            return value
        if target is int and isinstance(value, int) and not isinstance(value, bool):
            return value
        if target is int and isinstance(value, float) and value.is_integer():
            return int(value)
        if target is float and isinstance(value, int | float) and not isinstance(value, bool):
            if not is_finite(value):
                raise UserError(f'"{where}" must be a finite number.')
            return float(value)
        if target is str and isinstance(value, str):
            return value
        if target is dict and isinstance(value, dict):
            return value
        if target == Weighted and (pair := weighted(value)):
            return pair
        if typing.get_origin(target) is list and isinstance(value, list):
            items = [convert(typing.get_args(target)[0], entry, f"{where}[{i}]") for i, entry in enumerate(value)]
            # whole numbers as they were written, like those of a default: reading a config again must change nothing
            return [entry if type(entry) is int else item for entry, item in zip(value, items, strict=True)]
    raise UserError(f'"{where}" must be {spell(accepted)}, not {describe(value)}.')


def is_finite(number: float) -> bool:
    """Whether a float can hold it: not infinity, not-a-number, or a whole number that is too large."""
    return abs(number) <= sys.float_info.max


def weighted(value: Any) -> list | None:
    """The name and the weight that a value says, None where it says none."""
    if isinstance(value, str):
        name, colon, weight = value.strip().removeprefix("<lora:").removesuffix(">").partition(":")
        try:
            value = [name, float(weight) if colon else 1.0]
        except ValueError:
            return None
    if not isinstance(value, list | tuple) or len(value) != 2 or isinstance(value[1], bool):
        return None
    name, number = value
    if (
        not isinstance(name, str)
        or not name.strip()
        or not isinstance(number, int | float)
        or not is_finite(number)
    ):
        return None
    return [name.strip(), float(number)]


def check_limits(field: Field, value: Any, where: str) -> None:
    """UserError for a value that is no choice of the field's, or beyond its limits."""
    allowed = choices(field)
    if allowed and value not in allowed:
        raise UserError(
            f'"{where}" is {describe(value)}{nearest(value, allowed)}; it can be: {", ".join(map(str, allowed))}.'
        )
    pattern, asked = field.metadata.get("pattern") or ("", "")
    if pattern and not re.fullmatch(pattern, value):
        raise UserError(f'"{where}" is {describe(value)}; it must be {asked}.')
    for number in value if isinstance(value, list) else [value]:
        if not isinstance(number, int | float) or isinstance(number, bool):
            continue
        low, high, above = (field.metadata.get(name) for name in ("low", "high", "above"))
        text = digits(number)
        if low is not None and number < low:
            raise UserError(f'"{where}" is {text}; the smallest value is {digits(low)}.')
        if above is not None and number <= above:
            raise UserError(f'"{where}" is {text}; it must be greater than {digits(above)}.')
        if high is not None and number > high:
            raise UserError(f'"{where}" is {text}; the largest value is {digits(high)}.')


def digits(number: float) -> str:
    """Whole numbers in full, so that the last digit tells."""
    return str(number) if isinstance(number, int) else f"{number:g}"


TYPE_WORDS = {bool: phrase("true or false"), int: phrase("a whole number"), float: phrase("a number"),
              str: "text", dict: phrase("a group"), type(None): "null",
              Weighted: phrase('a name, or a name and a weight such as "ron:0.8"')}


def spell(kinds: Iterable) -> str:
    """ "a number or text" for (float, str)."""
    return " or ".join(TYPE_WORDS.get(kind, phrase("a list")) for kind in kinds)


def describe(value: Any) -> str:
    """A value as sentences quote it: as JSON and TOML write it, cut where it is long."""
    text = str(value).lower() if isinstance(value, bool) else "null" if value is None else repr(value)
    if isinstance(value, datetime.date | datetime.time):
        text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", type(None): "null"}


def schema(cls: type) -> dict[str, Any]:
    """JSON Schema (2020-12) of a section, as a dict."""
    properties = {field.name: field_schema(cls, field) for field in dataclasses.fields(cls)}
    needed = [field.name for field in dataclasses.fields(cls) if required(field)]
    facts = {"type": "object", "description": (cls.__doc__ or "").strip().split("\n")[0],
             "properties": properties, "additionalProperties": False}
    return facts | ({"required": needed} if needed else {})


def field_schema(cls: type, field: Field) -> dict[str, Any]:
    if "section" in field.metadata:
        return schema(field.metadata["section"])
    facts = {"description": field.metadata.get("help", ""), **type_schema(hint(cls, field.name))}
    names = {"low": "minimum", "high": "maximum", "above": "exclusiveMinimum"}
    numbers = facts["items"] if facts.get("type") == "array" else facts
    numbers |= {names[key]: field.metadata[key] for key in names if field.metadata.get(key) is not None}
    if field.metadata.get("pattern"):
        facts["pattern"] = f"^{field.metadata['pattern'][0]}$"
    if choices(field):
        facts["enum"] = choices(field)
    return facts if required(field) else facts | {"default": default_of(field)}


def type_schema(kind: Any) -> dict[str, Any]:
    if kind == Weighted:
        return {"type": ["array", "string"], "prefixItems": [{"type": "string"}, {"type": "number"}], "minItems": 2,
                "maxItems": 2}
    if typing.get_origin(kind) is list:
        inner = typing.get_args(kind)[0]
        if dataclasses.is_dataclass(inner):
            return {"type": "array", "items": schema(inner), "minItems": 1}
        return {"type": "array", "items": type_schema(inner)}
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        names = [JSON_TYPES[member] for member in typing.get_args(kind)]
        patterns = {Rate: SCHEDULE, Auto: "^auto$"}
        return {"type": names} | ({"pattern": patterns[kind]} if kind in patterns else {})
    return {"type": JSON_TYPES[kind]}
