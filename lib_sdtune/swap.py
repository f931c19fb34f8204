"""Attributes and dictionary entries exchanged for a while: the one place that does it, and takes it back."""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

ABSENT = object()


@contextmanager
def replaced(owner: Any, name: str, value: Any, still_wanted: Callable[[], bool] | None = None) -> Iterator[None]:
    """`owner.name` is `value` inside; afterwards the object's own attribute is as before, also if it had none.

    value: ABSENT takes the attribute away. still_wanted: for attributes of other code's making, asked at the end; what
    was there comes back only if it says so and nobody has set anything else there meanwhile.
    """
    before = vars(owner).get(name, ABSENT)
    assign(owner, name, value)
    try:
        yield
    finally:
        if still_wanted is None or (vars(owner).get(name, ABSENT) is value and still_wanted()):
            assign(owner, name, before)


def assign(owner: Any, name: str, value: Any) -> None:
    """Set an attribute, or take the object's own away where the value is ABSENT."""
    if value is not ABSENT:
        setattr(owner, name, value)
    elif name in vars(owner):
        delattr(owner, name)


@contextmanager
def replaced_entry(table: MutableMapping[str, Any], key: str, value: Any) -> Iterator[None]:
    """`table[key]` is `value` inside, not there for ABSENT; afterwards it is as before."""
    before = table.get(key, ABSENT)
    assign_entry(table, key, value)
    try:
        yield
    finally:
        assign_entry(table, key, before)


def assign_entry(table: MutableMapping[str, Any], key: str, value: Any) -> None:
    if value is ABSENT:
        table.pop(key, None)
    else:
        table[key] = value
