"""The WebUI's queue lock: one piece of work at a time on the model, in the order of asking."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

PAUSE = 0.02  # seconds: long enough for a woken thread to take a free lock, unless the machine is busy
LONGEST = 10.0  # seconds that a woken thread is waited for


class QueueLock:
    """Takes, hands over and gives back `modules.call_queue.queue_lock`."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock

    def waiting(self) -> bool:
        """Whether somebody stands in the queue."""
        return bool(getattr(self.lock, "_pending_threads", ()))

    def acquire(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Wait for our turn; `on_wait()` is called meanwhile and leaves the queue by raising."""
        # A thread that was told "your turn" can be overtaken before it takes the lock, and nobody sees it waiting then.
        # Taking the lock twice lets it pass: it must not hang for as long as a training takes.
        Ticket(self.lock).redeem(on_wait)
        self.lock.release()
        time.sleep(PAUSE)
        Ticket(self.lock).redeem(on_wait)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        self.lock.release()

    def hand_over(self) -> None:
        """Let those who wait have their turn, then take the lock again.

        Who was told "your turn" and is overtaken stands in no queue any more, and would hang for as long as a training
        takes; so all that were told have to take the lock first.
        """
        self.lock.release()
        time.sleep(PAUSE)
        patience = time.monotonic() + LONGEST
        while len(callers(self.lock)) > len(self.lock._pending_threads) and time.monotonic() < patience:
            time.sleep(PAUSE)
        self.lock.acquire()


def callers(lock: Any) -> list[Any]:
    """For each thread that waits in `acquire` of a `modules.fifo_lock.FIFOLock`: the frame that called it."""
    acquire = type(lock).acquire.__code__
    calls = []
    for frame in sys._current_frames().values():
        while frame is not None and frame.f_code is not acquire:
            frame = frame.f_back
        if frame is not None and frame.f_locals.get("self") is lock:
            calls.append(frame.f_back)
    return calls


class Ticket:
    """A place in the queue that can be given up, which the lock itself does not offer."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        self.served, self.settling, self.abandoned = threading.Event(), threading.Lock(), False

    def redeem(self, on_wait: Callable[[], None]) -> None:
        if self.lock.acquire(blocking=False):
            return
        threading.Thread(target=self.queue, name="sdtune-queue", daemon=True).start()
        try:
            while not self.served.wait(0.1):
                on_wait()
        except BaseException:
            self.abandon()
            raise

    def queue(self) -> None:
        self.lock.acquire()
        with self.settling:
            if self.abandoned:
                self.lock.release()
            else:
                self.served.set()

    def abandon(self) -> None:
        with self.settling:
            self.abandoned = True
            if self.served.is_set():
                self.lock.release()
