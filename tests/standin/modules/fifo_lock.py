import collections
import threading


class FIFOLock:
    """Those who find it taken queue in `_pending_threads` and are woken one by one; a newcomer may overtake one who wakes."""

    def __init__(self):
        self._lock, self._inner_lock, self._pending_threads = threading.Lock(), threading.Lock(), collections.deque()

    def acquire(self, blocking=True):
        with self._inner_lock:
            if self._lock.acquire(False):
                return True
            if not blocking:
                return False
            turn = threading.Event()
            self._pending_threads.append(turn)
        turn.wait()
        return self._lock.acquire()

    def release(self):
        with self._inner_lock:
            if self._pending_threads:
                self._pending_threads.popleft().set()
            self._lock.release()

    __enter__ = acquire

    def __exit__(self, *error):
        self.release()
