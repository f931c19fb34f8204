"""What stands in the fields, as a config and back."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lib_sdtune.declaration import weighted
from lib_sdtune.errors import UserError
from lib_sdtune.sentences import phrase
from lib_sdtune.ui.fields import FURTHER, Field, declared


def to_text(field: Field, value: Any) -> Any:
    """A config's value as its field shows it."""
    return WRITERS[field.kind](value) if field.kind in WRITERS else value


def rate_text(value: float | str) -> str:
    """1e-4 rather than 0.0001; schedules as they are."""
    if isinstance(value, str) or value == 0 or 0.01 <= abs(value) < 1e6:
        return value if isinstance(value, str) else f"{value:g}"
    mantissa, exponent = f"{value:.12e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def weighted_text(pairs: Iterable[tuple[str, float]]) -> str:
    return "\n".join(f"{name}:{weight:g}" for name, weight in pairs)


def json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if value else ""


WRITERS: dict[str, Callable[[Any], str]] = {
    "rate": rate_text, "auto": str, "optional": lambda value: "" if value is None else str(value), "lines": "\n".join,
    "weighted": weighted_text, "json": json_text, "json_list": json_text,
    "numbers": lambda value: ", ".join(f"{n:g}" for n in value)}


def parse(field: Field, text: Any) -> Any:
    """What was typed, as the config's value. UserError when it cannot be read; limits are the config's own business."""
    if field.kind in ("int", "float") and read_text(text) == "" and text != 0:
        raise UserError(" ".join(filter(None, (phrase(f'"{field.label}" is empty.'), field.info))))
    try:
        return READERS.get(field.kind, lambda value: value)(text)
    except (ValueError, TypeError):
        if "," in str(text) and field.kind in ("int", "float", "auto", "optional"):
            raise UserError(f'"{field.label}" takes one number, with a point where its fraction begins, such as 0.5; '
                            f'not {str(text)[:60]!r}.') from None
        raise UserError(f'"{field.label}" cannot be read: {str(text)[:60]!r}. {field.info}') from None


def read_text(value: object) -> str:
    return str(value or "").strip()


def read_int(value: Any) -> int | float:
    return int(value) if float(value).is_integer() else float(value)


def read_rate(value: object) -> float | str:
    text = read_text(value)
    try:
        return float(text)
    except ValueError:
        return text


def read_lines(value: object) -> list[str]:
    return [line.strip() for line in str(value or "").splitlines() if line.strip()]


def read_weighted(value: object) -> list[Any]:
    return [weighted(line) or line for line in read_lines(value)]


def read_numbers(value: object) -> list[float]:
    text = str(value or "").strip("[] ")
    return [float(part) for part in text.split(",")] if text else []


def read_json(kind: type) -> Callable[[Any], Any]:
    def read(text: Any) -> Any:
        value = json.loads(text) if read_text(text) else kind()
        if not isinstance(value, kind):
            raise ValueError
        return value

    return read


READERS: dict[str, Callable[[Any], Any]] = {
    "text": read_text,
    "int": read_int,
    "float": float,
    "rate": read_rate,
    "lines": read_lines,
    "weighted": read_weighted,
    "numbers": read_numbers,
    "auto": lambda value: read_text(value) if read_text(value) == "auto" else read_int(read_text(value)),
    "optional": lambda value: read_int(value) if read_text(value) else None,
    "json": read_json(dict),
    "json_list": read_json(list),
}


def to_config(values: Mapping[str, Any], host: dict[str, Any] | None = None) -> dict[str, Any]:
    """CONFIG of what is in the form: {path: what is typed} -> nested dict.

    A setting that stands where the host puts it is left out, so that it follows the model; so is everything about the
    methods that were not chosen.
    """
    from lib_sdtune.methods import registry as methods

    preset, sections = initial(host), methods.names()
    result: dict[str, Any] = {}
    first: dict[str, Any] = {}
    further: list[Any] = []
    for field in declared():
        if field.path not in values or (field.section in sections and field.section != values.get("method")):
            continue
        value = parse(field, values[field.path])
        if field.path == FURTHER:
            further = value
        elif field.path in ("name", "method", "concept.images") or value != parse(field, preset[field.path]):
            set_value(result, first, field, value)
    return result | {"concepts": [first, *further]}


def set_value(result: dict[str, Any], first: dict[str, Any], field: Field, value: Any) -> None:
    """Set a field's value in the CONFIG `result`, or in its `first` concept."""
    key = field.path.rpartition(".")[2]
    if field.section == "concept":
        first[key] = value
    elif field.section:
        result.setdefault(field.section, {})[key] = value
    else:
        result[key] = value


def initial(host: dict[str, Any] | None = None) -> dict[str, Any]:
    """{path: what a fresh form shows}: the declared defaults with the host's over them."""
    start = {field.path: to_text(field, field.default) for field in declared()}
    return start | from_config(host or {})


def from_config(config: dict[str, Any]) -> dict[str, Any]:
    """{path: what its field shows} for the settings that a (partial) config names; unknown ones are passed over."""
    concepts = config.get("concepts") or []
    values = {}
    for field in declared():
        _, _, key = field.path.rpartition(".")
        if field.path == FURTHER:
            source, key = ({FURTHER: concepts[1:]} if concepts else {}), FURTHER
        elif field.section == "concept":
            source = concepts[0] if concepts else {}
        else:
            source = config.get(field.section, {}) if field.section else config
        if isinstance(source, dict) and key in source:
            values[field.path] = to_text(field, source[key])
    return values
