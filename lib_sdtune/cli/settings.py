"""A run's settings as the command line gets them: a JSON or TOML file, `--set key=value`, paths beside the file."""

import dataclasses
import json
import os
import re
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib_sdtune.declaration import Weighted, hint
from lib_sdtune.errors import UserError, system_reason
from lib_sdtune.formats import toml
from lib_sdtune.formats.paths import path_of
from lib_sdtune.formats.plain_data import MAX_DEPTH, check_value, parse_json, shortened
from lib_sdtune.sections.concept import Concept


def read(path: str | Path) -> dict[str, Any]:
    """The file as plain data, its relative paths made absolute; UserError when it is not JSON or TOML."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} could not be read: {system_reason(error)}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text in UTF-8; save it as UTF-8.") from None
    if path.suffix.lower() in (".yaml", ".yml"):
        raise UserError(f"{path} is YAML; settings are JSON or TOML. `import` makes them of another program's file.")
    data = toml.parse(text, path) if path.suffix.lower() == ".toml" else parse_json(text, str(path))
    if not isinstance(data, dict):
        raise UserError(f"{path} must hold a group of settings ({{...}}), with \"name\" and \"concepts\".")
    return absolute(data, path.absolute().parent)


def absolute(data: dict[str, Any], base: Path) -> dict[str, Any]:
    """Paths of pictures, and of files that are there, put under `base`; wrong types are left for the check to name."""
    for concept in data.get("concepts", []) if isinstance(data.get("concepts"), list) else []:
        if isinstance(concept, dict):
            for key in Concept.FOLDERS:
                put_under(concept, key, base)
            put_under(concept, "prompt", base, only_files=True)
    if isinstance(data.get("validation"), dict):
        put_under(data["validation"], "images", base)
    if isinstance(data.get("model"), dict):
        put_under(data["model"], "checkpoint", base, only_files=True)
    return data


def put_under(group: dict[str, Any], key: str, base: Path, only_files: bool = False) -> None:
    text = group.get(key)
    named = path_of(text, base) if isinstance(text, str) else None
    if named is None:
        return
    path = os.path.normpath(named)
    if not only_files or (len(path) < 4096 and os.path.isfile(path)):
        group[key] = path


def assign(data: dict[str, Any], assignment: str) -> None:
    """Put "train.seed=7" or "concepts.0.prompt=a cat" into nested `data`; text becomes what the setting is declared
    as.
    """
    key, equals, text = assignment.partition("=")
    parts = [int(part) if re.fullmatch(r"[0-9]{1,6}", part) else part for part in re.findall(r"[^.\[\]\s]+", key)]
    if not equals or not parts:
        raise UserError(f"--set {shortened(assignment)!r} is not key=value, such as --set train.seed=7.")
    if len(parts) > MAX_DEPTH:
        raise UserError(f"--set {shortened(key)}: there is no such place in the settings; none is nested so deeply.")
    check_value(text, shortened(key))
    group: Any = data
    for part, following in zip(parts, parts[1:], strict=False):
        grow(group, part, [] if isinstance(following, int) else {})
        group = group[part] if fits(group, part) else None
    if not fits(group, parts[-1]):
        raise UserError(
            f"--set {key}: there is no such place in the settings; concepts are numbered from 0, as in "
            "concepts.0.images."
        )
    from lib_sdtune.config import Config

    group[parts[-1]] = typed(declared(Config, parts), text)


def grow(group: Any, part: str | int, fresh: list[Any] | dict[str, Any]) -> None:
    """Make room for a group that is not there yet."""
    if isinstance(group, dict):
        group.setdefault(part, fresh)
    elif isinstance(group, list) and part == len(group):
        group.append(fresh)


def fits(group: Any, part: str | int) -> bool:
    """Whether `part` is a key for this group, or a number within this list."""
    if isinstance(group, list):
        return isinstance(part, int) and part < len(group)
    return isinstance(group, dict) and isinstance(part, str)


def declared(cls: type, parts: Sequence[str | int]) -> Any:
    """The declared type at the end of a path: object in a group that declares none (`optimizer_args`), str where there
    is no such place, for the check of the whole to name the key.
    """
    kind = cls
    for part in parts:
        if typing.get_origin(kind) is list:
            kind = typing.get_args(kind)[0]
        elif dataclasses.is_dataclass(kind) and part in {field.name for field in dataclasses.fields(kind)}:
            kind = hint(kind, part)
        elif kind in (dict, object):
            kind = object
        else:
            return str
    return kind


def typed(kind: Any, text: str) -> Any:
    """`text` as the declared type; text that does not fit stays text, for the check to refuse with its usual
    sentence.
    """
    if kind is str:
        return text
    entry = typing.get_args(kind)[0] if typing.get_origin(kind) is list else None
    if entry == Weighted and text.strip() and text.lstrip()[0] not in '["':
        return [text]  # name:0.8, or a name that may be a number
    json_text = f"[{text}]" if entry not in (None, str) and not text.lstrip().startswith("[") else text
    try:
        return json.loads(json_text.lower() if json_text.lower() in ("true", "false", "null") else json_text)
    except (ValueError, RecursionError):
        return [text] if entry else text
