"""Who waits for the pictures that a host draws: whether they are still wanted, and who hears how it goes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Watcher:
    """unwanted(): whether nobody wants the picture any more; a host asks it from any thread. report(sentence): since
    when a picture is being drawn, or that it gets no further; "" when it is there.
    """

    unwanted: Callable[[], bool] = lambda: False
    report: Callable[[str], None] = lambda sentence: None


_watcher: ContextVar[Watcher] = ContextVar("watcher", default=Watcher())  # noqa: B039 - it never changes


@contextmanager
def watched(unwanted: Callable[[], bool], report: Callable[[str], None]) -> Iterator[None]:
    """What this thread has drawn inside is watched like that (see `Watcher`)."""
    token = _watcher.set(Watcher(unwanted, report))
    try:
        yield
    finally:
        _watcher.reset(token)


def watcher() -> Watcher:
    """That of this thread."""
    return _watcher.get()
