"""Plain data from outside (JSON, TOML, a form), parsed and bounded before anything reads it, and laid over others.

Python's own limits end in exceptions of a dozen kinds far from where the data came in; these end in a sentence at once.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from lib_sdtune.errors import UserError

MAX_DEPTH = 24  # groups and lists within each other
MAX_VALUES = 200_000  # values altogether
MAX_KEY_LENGTH = 200  # characters
MAX_TEXT_LENGTH = 1_000_000  # characters
MAX_INTEGER = 2**63  # whole numbers below it fit every machine's registers and every file format
MAX_DIGITS = 4000  # of a number in JSON; Python refuses more than 4,300


def parse_json(text: str | bytes, name: str) -> Any:
    """The data of a JSON text called `name`, within the bounds, no key given twice in a group. UserError."""
    try:
        data = json.loads(text, object_pairs_hook=refuse_twice, parse_int=whole_number)
    except json.JSONDecodeError as error:
        advice = " A backslash begins a special sign; write / or two of them in paths." if "escape" in error.msg else ""
        raise UserError(f"{name} is not valid JSON: {error.msg} in line {error.lineno}, "
                        f"column {error.colno}.{advice}") from None
    except UnicodeDecodeError:
        raise UserError(f"{name} is not valid JSON: it is not a text in UTF-8.") from None
    except RecursionError:
        raise UserError(f"{name} is not valid JSON for settings: it is nested too deeply.") from None
    check_bounds(data, name)
    return data


def whole_number(digits: str) -> int | float:
    """Infinity for numbers that Python would refuse to read, so that `check_bounds` can say which setting it is."""
    return int(digits) if len(digits) <= MAX_DIGITS else float("-inf" if digits[0] == "-" else "inf")


def refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON keeps the last of two equal keys silently; here the second is an error."""
    group: dict[str, Any] = {}
    for key, value in pairs:
        if key in group:
            raise UserError(f'"{shortened(key)}" is given twice; remove one of them.')
        group[key] = value
    return group


def check_bounds(data: Any, name: str) -> None:
    """UserError where plain data is nested too deep, has too much in it, or holds a text or number of no use.

    name: what the data is called in the sentence. Walks without recursion, so that nothing is too deep for it.
    """
    waiting: list[tuple[Any, str, int]] = [(data, "", 0)]
    count = 0
    while waiting:
        value, place, depth = waiting.pop()
        count += 1
        if depth > MAX_DEPTH:
            raise UserError(f"{name} is nested too deeply to be settings ({MAX_DEPTH} levels at most).")
        if isinstance(value, Mapping):
            for key, inner in value.items():
                check_key(key, name)
                waiting.append((inner, f"{place}.{key}" if place else str(key), depth + 1))
        elif isinstance(value, list | tuple):
            waiting.extend((inner, f"{place}[{index}]", depth + 1) for index, inner in enumerate(value))
        else:
            check_value(value, shortened(place) or name)
        if count + len(waiting) > MAX_VALUES:
            raise UserError(f"{name} holds more than {MAX_VALUES:,} values, which no settings have.")


def check_key(key: Any, name: str) -> None:
    if len(str(key)) > MAX_KEY_LENGTH:
        raise UserError(
            f'{name} holds a setting of {len(key):,} characters, "{shortened(key)}"; there is none of that name.'
        )
    check_letters(str(key), f"a name in {name}")


def check_value(value: Any, place: str) -> None:
    """UserError for a text or a number of no use."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT_LENGTH:
            raise UserError(f'"{place}" has {len(value):,} characters; {MAX_TEXT_LENGTH:,} is the most.')
        check_letters(value, f'"{place}"')
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f'"{place}" must be a finite number.')
    elif isinstance(value, int) and not -MAX_INTEGER < value < MAX_INTEGER:
        raise UserError(f'"{place}" is a number too large to be a setting.')


def check_letters(text: str, what: str) -> None:
    """UserError for half of a surrogate pair, which no file and no page can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(f"{what} holds a character that is none (half of a pair, or an undecodable byte); "
                        "write it anew.") from None


def overlaid(data: Any, defaults: Any) -> Any:
    """`defaults` with `data` laid over them, group by group; lists are taken whole."""
    if not (isinstance(data, dict) and isinstance(defaults, dict)):
        return data
    return {**defaults, **{key: overlaid(value, defaults.get(key)) for key, value in data.items()}}


def shortened(text: Any, length: int = 60) -> str:
    """A text as a sentence quotes it, cut where it is long."""
    text = str(text).encode("utf-8", "replace").decode()
    return text if len(text) <= length else text[:length - 3] + "..."
