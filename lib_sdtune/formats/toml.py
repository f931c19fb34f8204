"""TOML, read with what the Python at hand has for it."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.formats.plain_data import check_bounds

BACKSLASH = " In double quotes a backslash begins a special sign; write / in paths, or put them into single quotes."


def parse(text: str, name: str | Path) -> dict[str, Any]:
    """The file's content as plain data, within its bounds; UserError naming the file if it is no TOML."""
    tomllib = reader(name)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # its own errors, and numbers that Python refuses to read
        advice = BACKSLASH if re.search(r"\\|escape|hex", str(error)) else ""
        raise UserError(f"{name} is not valid TOML: {error}.{advice}") from None
    check_bounds(data, str(name))
    return data


def reader(name: str | Path) -> ModuleType:
    """Python 3.11 has one; 3.10 has the one inside pip unless somebody removed that."""
    try:
        import tomllib
    except ModuleNotFoundError:
        try:
            import tomli as tomllib
        except ModuleNotFoundError:
            try:
                from pip._vendor import tomli as tomllib
            except ImportError:
                raise UserError(f"{name} is TOML, which Python 3.10 reads only with the package tomli; install it or "
                                "write JSON.") from None
    return tomllib
