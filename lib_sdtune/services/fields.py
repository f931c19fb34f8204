"""What a page sends, checked before anything is done with it."""

from lib_sdtune.errors import UserError


def refuse_unknown(data: dict, *keys: str) -> None:
    """UserError for a key that means nothing here."""
    unknown = set(data) - set(keys)
    if unknown:
        raise UserError(f'"{min(unknown)}" is not a setting; there are: {", ".join(keys)}.')


def text(data: dict, key: str, default: str = "") -> str:
    value = data.get(key, default)
    if not isinstance(value, str):
        raise UserError(f'"{key}" must be text.')
    return value


def whole_number(data: dict, key: str, default: int = 0) -> int:
    """A whole number from 0."""
    value = data.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UserError(f'"{key}" must be a whole number from 0.')
    return value


def flag(data: dict, key: str) -> bool:
    value = data.get(key, False)
    if not isinstance(value, bool):
        raise UserError(f'"{key}" must be true or false.')
    return value


def group(data: dict, key: str) -> dict:
    """A nested group of settings; {} where it is missing or null."""
    value = data.get(key) or {}
    if not isinstance(value, dict):
        raise UserError(f'"{key}" must be a group of settings.')
    return value
