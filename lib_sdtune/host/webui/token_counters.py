"""Token counters stand in the WebUI's queue like generations, after every pause in typing a prompt.

`modules/ui.py` wraps them in `wrap_queued_call`, although they need nothing but the tokenizer. The model must be given
back before anybody has his turn, and that can take as long as many steps, so those who only count wait for each other.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lib_sdtune.host.webui.lock import QueueLock, callers

COUNTERS = ("update_token_counter", "update_negative_prompt_token_counter")
SHARE = 0.05  # of a training's time that may go into giving the model to token counters
LONGEST = 30.0  # seconds that they wait at most: their threads are the page's


class Turns:
    """When those who wait get the model: generations at once, token counters as seldom as their last turn was long."""

    def __init__(self) -> None:
        self.next, self.counting = 0.0, False

    def due(self, lock: QueueLock, generations: bool) -> bool:
        """Whether those who wait get the model now. generations: whether others than token counters get it at all."""
        if not lock.waiting():
            return False
        self.counting = only_token_counters(lock.lock)
        return time.monotonic() >= self.next if self.counting else generations

    @contextmanager
    def measured(self) -> Iterator[None]:
        """A turn, from giving the model away until it is back."""
        began = time.monotonic()
        try:
            yield
        finally:
            ended = time.monotonic()
            if self.counting:
                self.next = ended + min((ended - began) / SHARE, LONGEST)


def only_token_counters(lock: Any) -> bool:
    """Whether those who wait for a `modules.fifo_lock.FIFOLock` are token counters, all of them."""
    waiting = callers(lock)
    return bool(waiting) and all(is_token_counter(frame) for frame in waiting)


def is_token_counter(frame: Any) -> bool:
    """Whether it is `wrap_queued_call`'s, around a function that counts tokens."""
    return getattr(frame.f_locals.get("func"), "__name__", "") in COUNTERS
