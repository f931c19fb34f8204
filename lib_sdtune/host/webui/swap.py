"""Attributes put aside for a while."""

from contextlib import contextmanager

ABSENT = object()


@contextmanager
def replaced(owner, name, value):
    """`owner.name` is `value` inside; afterwards the object's own attribute is as before, also if it had none."""
    before = vars(owner).get(name, ABSENT)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
