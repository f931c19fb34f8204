"""TOML, read with what the Python at hand has for it."""

import re

from lib_sdtune.errors import UserError

BACKSLASH = " In double quotes a backslash begins a special sign; write / in paths, or put them into single quotes."


def parse(text, name):
    """The file's content as plain data; UserError naming the file if it is no TOML."""
    tomllib = reader(name)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        advice = BACKSLASH if re.search(r"\\|escape|hex", str(error)) else ""
        raise UserError(f"{name} is not valid TOML: {error}.{advice}") from None


def reader(name):
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
