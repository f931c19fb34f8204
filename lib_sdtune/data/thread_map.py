"""A map over many files: a few at a time, results in order, memory bounded."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

WORKERS = max(1, min(4, os.cpu_count() or 1))


def ordered(function: Callable, items: Iterable, workers: int = WORKERS) -> Iterator[tuple]:
    """Yield (item, function(item)) in the order of `items`; at most 2 x `workers` results wait at any time.

    Threads are enough: Pillow's codecs and hashlib work outside the interpreter lock. Closing the generator, or an
    exception in the consumer, drops what has not begun.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="sdtune-data")
    waiting: deque = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > 2 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
