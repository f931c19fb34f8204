"""Cancelling, and hearing about, the pictures that a host draws for a thread."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Watcher:
    """cancelled(): whether nobody wants the picture any more; a host asks it from any thread. report(sentence): since
    when a picture is being drawn, or that it gets no further; "" when it is there.
    """

    cancelled: Callable[[], bool] = lambda: False
    report: Callable[[str], None] = lambda sentence: None


_watcher: ContextVar[Watcher] = ContextVar("watcher", default=Watcher())  # noqa: B039 - it never changes


@contextmanager
def watched(cancelled: Callable[[], bool], report: Callable[[str], None]) -> Iterator[None]:
    """Pictures drawn by this thread inside report to `report` and end when `cancelled()`."""
    token = _watcher.set(Watcher(cancelled, report))
    try:
        yield
    finally:
        _watcher.reset(token)


def watcher() -> Watcher:
    """The `Watcher` of the calling thread."""
    return _watcher.get()
