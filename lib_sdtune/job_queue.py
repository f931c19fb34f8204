"""What needs the model takes turns: functions in a queue, called by one worker thread."""

import threading
from collections.abc import Callable


class JobQueue:
    """waiting: [(key, function)] in their order. current: the key of the one that is on, or None.

    `lock` guards these two, and whatever must not change while they are looked at; it is notified of every change.
    """

    def __init__(self) -> None:
        self.waiting: list[tuple[object, Callable[[], object]]] = []
        self.current: object | None = None
        self.lock = threading.Condition(threading.RLock())
        self.worker: threading.Thread | None = None

    def run_when_free(self, function: Callable[[], object], key: object = None) -> None:
        """Call `function()` when those before it have ended; it reports its own errors. key: its name."""
        with self.lock:
            self.waiting.append((key or function, function))
            if self.worker is None or not self.worker.is_alive():
                self.worker = threading.Thread(target=self.work, name="sdtune-worker", daemon=True)
                self.worker.start()
            self.lock.notify_all()

    def take_back(self, key: object) -> bool:
        """Remove a function that has not begun; whether there was one of that key."""
        with self.lock:
            before = len(self.waiting)
            self.waiting = [entry for entry in self.waiting if entry[0] is not key]
            return len(self.waiting) < before

    def place(self, key: object) -> int:
        """How many come before `key` and it, the one that is on not counted; 0 where it does not wait."""
        with self.lock:
            return next((place for place, entry in enumerate(self.waiting, 1) if entry[0] is key), 0)

    def move(self, key: object, place: int) -> bool:
        """Put what waits under `key` at a place, 1 being next, or at the nearest there is; whether it waited."""
        with self.lock:
            entry = next((entry for entry in self.waiting if entry[0] is key), None)
            if entry is None:
                return False
            self.waiting.remove(entry)
            self.waiting.insert(max(0, place - 1), entry)
            return True

    def wait_until_over(self, key: object, seconds: float) -> bool:
        """Wait while `key` is on, that long at most; whether it is over."""
        with self.lock:
            return self.lock.wait_for(lambda: self.current is not key, seconds)

    @property
    def idle(self) -> bool:
        with self.lock:
            return not self.waiting and self.current is None

    def work(self) -> None:
        """What the worker thread does for ever."""
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self.waiting)
                self.current, function = self.waiting.pop(0)
            try:
                function()
            finally:
                with self.lock:
                    self.current = None
                    self.lock.notify_all()
