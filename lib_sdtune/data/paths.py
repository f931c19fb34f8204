"""The folder that a text means; folders that nobody's pictures should be read from are refused."""

import os
from pathlib import Path

from lib_sdtune.data.problem import printable
from lib_sdtune.errors import UserError, system_reason
from lib_sdtune.formats.paths import bare_path, path_of, special_sign


def locate(text: str, base: Path | str, key: str) -> Path:
    """The folder that a setting names, relative to `base`; UserError if it is none or one that no data set can be.

    key: what the setting is called in the sentence.
    """
    path, text = named_path(text, base, key), bare_path(text)
    try:
        return checked(path, text, key)
    except OSError as error:
        raise UserError(f'"{key}": {printable(text)} can\'t be opened ({system_reason(error)}).') from error


def named_path(text: str, base: Path | str, key: str) -> Path:
    """The path that a setting names, there or not. UserError where it names none."""
    if "\0" in text:
        raise UserError(f'"{key}" holds a character that no path can have.')
    refuse_special_signs(text, base, key)
    path = path_of(text, base)
    if path is None:
        raise UserError(f'"{key}" is empty; give the folder of your pictures.')
    return path


def refuse_special_signs(text: str, base: Path | str, key: str) -> None:
    sign = special_sign(text, base)
    if sign:
        raise UserError(f'"{key}": {printable(text)} holds the sign {sign}, because in JSON and TOML a backslash '
                        'begins a '
                        "special sign; write / in paths, two backslashes, or single quotes in TOML.")


def home() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:
        return None


def checked(path: Path, text: str, key: str) -> Path:
    if not path.exists():
        raise UserError(f'"{key}": there is no folder {printable(text)}{missing_part(path)}.')
    if not path.is_dir():
        raise UserError(f'"{key}": {printable(text)} is a file; give the folder that it lies in.')
    fit_for_pictures(path, text, key)
    os.scandir(path).close()  # raises where it can't be listed
    return path


def fit_for_pictures(path: Path, text: str, key: str) -> None:
    """UserError for folders that nobody's pictures should be read from or written to as a whole."""
    true = path.resolve()
    if true == Path(true.anchor):
        raise UserError(f'"{key}": {printable(text)} is the root of a drive; give the folder of your pictures.')
    if true == home():
        raise UserError(f'"{key}": {printable(text)} is your home folder; give the folder of your pictures.')
    if (true / "webui.py").exists() and (true / "modules").is_dir():
        raise UserError(f'"{key}": {printable(text)} is the WebUI itself; give the folder of your pictures.')


PHRASES = ("{1} ({2} exists, but holds no {3})",)


def missing_part(path: Path) -> str:
    """' (X exists, but holds no "y")': the most helpful half of a wrong path."""
    child = Path(os.path.abspath(path))
    while not child.parent.exists():
        child = child.parent
    return f" ({printable(child.parent)} exists, but holds no {printable(child.name)!r})"
