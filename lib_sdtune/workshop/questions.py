"""What a page sends, checked before anything is done with it."""

from lib_sdtune.errors import UserError


def known(data, *keys):
    """UserError for a key that means nothing here."""
    unknown = set(data) - set(keys)
    if unknown:
        raise UserError(f'"{min(unknown)}" is not a setting; there are: {", ".join(keys)}.')


def text(data, key, default=""):
    given = data.get(key, default)
    if not isinstance(given, str):
        raise UserError(f'"{key}" must be text.')
    return given


def whole(data, key, default=0):
    """A whole number from 0."""
    given = data.get(key, default)
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise UserError(f'"{key}" must be a whole number from 0.')
    return given


def flag(data, key):
    given = data.get(key, False)
    if not isinstance(given, bool):
        raise UserError(f'"{key}" must be true or false.')
    return given


def group(data, key):
    given = data.get(key) or {}
    if not isinstance(given, dict):
        raise UserError(f'"{key}" must be a group of settings.')
    return given
