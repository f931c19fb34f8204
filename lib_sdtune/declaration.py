"""Settings declared once: a dataclass field carries its default, help and limits, and everything else is read off it.

`build` makes a section from plain data and refuses what it does not know; `schema` gives the same facts as JSON Schema.
"""

import dataclasses
import math
import types
import typing

from lib_sdtune.errors import UserError
from lib_sdtune.registry import nearest

Rate = float | str
NUMBER = r"\s*(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*"
SCHEDULE = rf"^{NUMBER}(:\s*-?\d+\s*)?(,{NUMBER}(:\s*-?\d+\s*)?)*$"
"""A learning rate: a number, or the WebUI's schedule text such as "5e-3:200, 1e-3"."""


def option(default, help, *, label="", low=None, high=None, above=None, choices=None, unit=""):
    """A field with its default, one sentence of help, inclusive limits `low`..`high`, exclusive lower limit `above`.

    `label` is what the tab calls it; without one its name is made one.
    `choices` is a list, or a function that gives one (a registry's `names`, say).
    """
    facts = {"help": help, "label": label, "low": low, "high": high, "above": above, "choices": choices, "unit": unit}
    if isinstance(default, list | dict):
        kept = default
        return dataclasses.field(default_factory=lambda: type(kept)(kept), metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


def section(cls, title):
    """A field that is itself a declared section; `title` is what the tab calls it."""
    return dataclasses.field(default_factory=cls, metadata={"title": title, "section": cls})


def sections(cls):
    """name -> (declared section, its title)."""
    return {field.name: (field.metadata["section"], field.metadata["title"])
            for field in dataclasses.fields(cls) if "section" in field.metadata}


def hint(cls, name):
    return typing.get_type_hints(cls)[name]


def choices(field):
    known = field.metadata.get("choices")
    return list(known() if callable(known) else known) if known else None


def build(cls, data, where=""):
    """An instance of `cls` from a dict; UserError names the key, what is wrong with it, and what would be right."""
    if not isinstance(data, dict):
        raise UserError(f'"{where or "config"}" must be a group of settings, not {describe(data)}.')
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in data:
        if key not in fields:
            raise UserError(f'"{join(where, key)}" is not a setting{nearest(key, fields)}.')
    values = {key: value(cls, fields[key], data[key], join(where, key)) for key in data}
    missing = [n for n, f in fields.items() if n not in data and required(f)]
    if missing:
        raise UserError(f'"{join(where, missing[0])}" is missing: {fields[missing[0]].metadata["help"]}')
    return cls(**values)


def required(field):
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def join(where, key):
    return f"{where}.{key}" if where else str(key)


def value(cls, field, given, where):
    """One checked value."""
    kind = hint(cls, field.name)
    if "section" in field.metadata:
        return build(field.metadata["section"], given, where)
    if typing.get_origin(kind) is list and dataclasses.is_dataclass(typing.get_args(kind)[0]):
        if not isinstance(given, list) or not given:
            raise UserError(f'"{where}" must be a list with at least one entry.')
        return [build(typing.get_args(kind)[0], entry, f"{where}[{i}]") for i, entry in enumerate(given)]
    result = fit(kind, given, where)
    limits(field, result, where)
    return result


def fit(kind, given, where):
    """`given` as the declared type; integers pass for floats, nothing else is converted."""
    accepted = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    for one in accepted:
        if one is type(None) and given is None:
            return None
        if one is bool and isinstance(given, bool):
            return given
        if one is int and isinstance(given, int) and not isinstance(given, bool):
            return given
        if one is int and isinstance(given, float) and given.is_integer():
            return int(given)
        if one is float and isinstance(given, int | float) and not isinstance(given, bool):
            if not math.isfinite(given):
                raise UserError(f'"{where}" must be a finite number.')
            return float(given)
        if one is str and isinstance(given, str):
            return given
        if one is dict and isinstance(given, dict):
            return given
        if typing.get_origin(one) is list and isinstance(given, list):
            return [fit(typing.get_args(one)[0], entry, f"{where}[{i}]") for i, entry in enumerate(given)]
    raise UserError(f'"{where}" must be {spell(accepted)}, not {describe(given)}.')


def limits(field, given, where):
    known = choices(field)
    if known and given not in known:
        raise UserError(f'"{where}" is {given!r}{nearest(given, known)}; it can be: {", ".join(map(str, known))}.')
    for number in given if isinstance(given, list) else [given]:
        if not isinstance(number, int | float) or isinstance(number, bool):
            continue
        low, high, above = (field.metadata.get(name) for name in ("low", "high", "above"))
        if low is not None and number < low:
            raise UserError(f'"{where}" is {shown(number)}; the smallest value is {shown(low)}.')
        if above is not None and number <= above:
            raise UserError(f'"{where}" is {shown(number)}; it must be greater than {shown(above)}.')
        if high is not None and number > high:
            raise UserError(f'"{where}" is {shown(number)}; the largest value is {shown(high)}.')


def shown(number):
    """Whole numbers in full, so that the last digit tells."""
    return str(number) if isinstance(number, int) else f"{number:g}"


WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", dict: "a group", type(None): "null"}


def spell(kinds):
    return " or ".join(WORDS.get(kind, "a list") for kind in kinds)


def describe(given):
    text = str(given).lower() if isinstance(given, bool) else "null" if given is None else repr(given)
    return text if len(text) <= 60 else text[:57] + "..."


JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", type(None): "null"}


def schema(cls):
    """JSON Schema (2020-12) of a section, as a dict."""
    properties = {field.name: field_schema(cls, field) for field in dataclasses.fields(cls)}
    needed = [field.name for field in dataclasses.fields(cls) if required(field)]
    found = {"type": "object", "description": (cls.__doc__ or "").strip().split("\n")[0],
             "properties": properties, "additionalProperties": False}
    return found | ({"required": needed} if needed else {})


def field_schema(cls, field):
    if "section" in field.metadata:
        return schema(field.metadata["section"])
    facts = {"description": field.metadata.get("help", ""), **type_schema(hint(cls, field.name))}
    names = {"low": "minimum", "high": "maximum", "above": "exclusiveMinimum"}
    numbers = facts["items"] if facts.get("type") == "array" else facts
    numbers |= {names[key]: field.metadata[key] for key in names if field.metadata.get(key) is not None}
    if choices(field):
        facts["enum"] = choices(field)
    if field.default is not dataclasses.MISSING:
        facts["default"] = field.default
    elif field.default_factory is not dataclasses.MISSING:
        facts["default"] = field.default_factory()
    return facts


def type_schema(kind):
    if typing.get_origin(kind) is list:
        inner = typing.get_args(kind)[0]
        if dataclasses.is_dataclass(inner):
            return {"type": "array", "items": schema(inner), "minItems": 1}
        return {"type": "array", "items": type_schema(inner)}
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return {"type": [JSON_TYPES[one] for one in typing.get_args(kind)]} | ({"pattern": SCHEDULE} if kind == Rate else {})
    return {"type": JSON_TYPES[kind]}
