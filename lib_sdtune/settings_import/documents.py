"""Files of settings, read as plain data: JSON, TOML, YAML, scripts as text, and the header of a safetensors file.

Real files have trailing commas, a byte order mark, Chinese letters in GBK, and Windows paths in quotes of TOML.
"""

import json
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib_sdtune.errors import UserError, system_reason
from lib_sdtune.formats import toml

MAX_BYTES = 16 << 20  # bytes of a text
MAX_HEADER_BYTES = 100 << 20
MAX_VALUES = 200_000
ENCODINGS = ("utf-8-sig", "gb18030", "cp932")
MODELS = (".ckpt", ".pt", ".pth", ".bin")
LOOSE_COMMA = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])')
LOOSE_BACKSLASH = re.compile(r'\\(?![btnfr"\\uU])')


@dataclass
class Document:
    """A file: `kind` is json, toml, yaml, script or safetensors; `data` what it holds, `text` a script's text.

    remarks: sentences about how it was read.
    """

    path: Path
    kind: str
    data: Any = None
    text: str = ""
    remarks: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def table(self) -> dict[str, Any]:
        """The data where it is a group of settings, else nothing."""
        return self.data if isinstance(self.data, dict) else {}

    @property
    def rows(self) -> list[Any]:
        return self.data if isinstance(self.data, list) else []


def read(path: Path) -> Document:
    """The file as a `Document`. UserError when it cannot be read, or holds no settings of any kind."""
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; give the file of settings in it.")
        if path.suffix.lower() in MODELS:
            raise UserError(f"{path.name} is a model file without settings; of a LoRA, the .safetensors file has some.")
        if path.suffix.lower() == ".safetensors":
            return Document(path, "safetensors", metadata_of(path))
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path.name} is too large to be a file of settings.")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} could not be read: {system_reason(error)}.") from None
    document = parse(path, decode(content, path.name))
    if count(document.data) > MAX_VALUES:
        raise UserError(f"{path.name} holds too many values to be a file of settings.")
    return document


def from_text(name: str, text: str) -> Document:
    """A file's text, as `read` has it. UserError. name: the file's, of which the ending counts."""
    path = Path(name)
    if path.suffix.lower() in MODELS:
        raise UserError(f"{name} is a model file without settings; of a LoRA, the .safetensors file has some.")
    if len(text) > MAX_BYTES:
        raise UserError(f"{name} is too large to be a file of settings.")
    if path.suffix.lower() == ".safetensors":  # its metadata alone are sent, as JSON
        return Document(path, "safetensors", from_json(path, text).table)
    document = parse(path, text.removeprefix("\ufeff"))
    if count(document.data) > MAX_VALUES:
        raise UserError(f"{name} holds too many values to be a file of settings.")
    return document


def decode(content: bytes, name: str) -> str:
    """Text in UTF-8, UTF-16 with a mark, or what Windows of China and Japan writes. UserError for what is no text."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    if b"\0" in content:
        raise UserError(f"{name} is no text, so no file of settings.")
    for encoding in ENCODINGS:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def parse(path: Path, text: str) -> Document:
    ending, start = path.suffix.lower(), text.lstrip()[:1]
    if ending == ".json" or (start in ("{", "[") and ending not in (".toml", ".yaml", ".yml")):
        return from_json(path, text)
    if ending == ".toml":
        return from_toml(path, text)
    if ending in (".yaml", ".yml"):
        return Document(path, "yaml", from_yaml(text, path.name))
    return Document(path, "script", text=text)


def from_json(path: Path, text: str) -> Document:
    document = Document(path, "json")

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in pairs:
            if key in result and result[key] != value:
                document.remarks.append(f'{path.name} says "{key}" twice; the later one counts.')
            result[key] = value
        return result

    try:
        try:
            document.data = json.loads(text, object_pairs_hook=table, strict=False)
        except json.JSONDecodeError:
            without = LOOSE_COMMA.sub(lambda match: match[0] if match[0] != "," else "", text)
            document.data = json.loads(without, object_pairs_hook=table, strict=False)
            document.remarks.append(f"{path.name} has a comma too many before a closing bracket; it was read without.")
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path.name} is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from None
    except (RecursionError, ValueError):
        raise UserError(f"{path.name} is not valid JSON.") from None
    return document


def from_toml(path: Path, text: str) -> Document:
    try:
        return Document(path, "toml", toml.parse(text, path.name))
    except UserError:
        doubled = re.sub(r'"[^"\n]*"', lambda match: LOOSE_BACKSLASH.sub(r"\\\\", match[0]), text)
        if doubled == text:
            raise
        data = toml.parse(doubled, path.name)
    return Document(path, "toml", data, remarks=[f'{path.name} has single \\ in "..."; they were read as they are.'])


def from_yaml(text: str, name: str) -> Any:
    """The first document of a YAML file. UserError where it is none, or the package that reads it is missing."""
    try:
        import yaml
    except ImportError:
        raise UserError(f"{name} is YAML, which is read with the package PyYAML; install it, or convert the file to "
                        "JSON.") from None
    try:
        return next(iter(yaml.safe_load_all(text)), None)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        position = getattr(error, "problem_mark", None)
        where = f" in line {position.line + 1}" if position else ""
        raise UserError(
            f"{name} is not valid YAML: {getattr(error, 'problem', None) or 'it cannot be read'}{where}."
        ) from None


def metadata_of(path: Path) -> dict[str, str]:
    """What a safetensors file says about itself. UserError where its header cannot be read."""
    try:
        with open(path, "rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > MAX_HEADER_BYTES:
                raise ValueError
            header = json.loads(file.read(length))
        metadata = header.get("__metadata__", {})
    except (struct.error, ValueError, AttributeError, RecursionError):
        raise UserError(f"{path.name} is no safetensors file, or it is damaged.") from None
    return metadata if isinstance(metadata, dict) else {}


def count(data: Any, most: int = MAX_VALUES) -> int:
    """How many values the data holds, counting no further than it takes to know that they are too many."""
    total, groups = 0, [data]
    while groups and total <= most:
        group = groups.pop()
        total += 1
        if isinstance(group, dict):
            groups.extend(group.values())
        elif isinstance(group, list):
            groups.extend(group)
    return total


def flat(table: dict[str, Any], deep: bool = False) -> dict[str, Any]:
    """One level of sections taken away, as sd-scripts does; `deep`: all levels, under names such as "train.lr"."""
    result: dict[str, Any] = {}
    for key, value in table.items():
        if not isinstance(value, dict):
            result[key] = value
        elif deep:
            result |= {f"{key}.{name}": inner for name, inner in flat(value, True).items()}
        else:
            result |= value
    return result
