"""Where a run's time goes, as it is measured while it goes by."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

FEW_STEPS = 10  # before these a share of the time says nothing: the first samples would have taken all of it


class TimeSpent:
    """spent: {"training", "samples", "validation", "saving": seconds}; times: how often each was done.

    latest: seconds that each took the last time. earlier: seconds of earlier tries of the same run.
    """

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.times: dict[str, int] = {}
        self.latest: dict[str, float] = {}
        self.earlier, self.began = 0.0, 0.0

    def begin(self) -> None:
        self.began = time.monotonic()

    def end(self) -> None:
        self.earlier, self.began = self.elapsed(), 0.0

    def elapsed(self) -> float:
        """Seconds that the run has been on, pauses and earlier tries included, waiting in the queue not."""
        return self.earlier + (time.monotonic() - self.began if self.began else 0.0)

    def add(self, activity: str, seconds: float) -> None:
        self.spent[activity] = self.spent.get(activity, 0.0) + seconds
        self.times[activity] = self.times.get(activity, 0) + 1
        self.latest[activity] = seconds

    @contextmanager
    def spending(self, activity: str) -> Iterator[None]:
        """The time inside goes to `activity`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(activity, time.perf_counter() - started)

    def seconds_each(self) -> dict[str, float]:
        """What one step, one round of samples, one validation, one saving took on average."""
        return {activity: self.spent[activity] / count for activity, count in self.times.items()}

    def shares(self) -> dict[str, int]:
        """{activity: percent of the time} of all but training that takes some, once there are enough steps to tell."""
        if self.times.get("training", 0) < FEW_STEPS:
            return {}
        total = sum(self.spent.values())
        shares = {activity: 100 * seconds / total for activity, seconds in self.spent.items()
                  if activity != "training" and total}
        return {activity: round(share) for activity, share in shares.items() if share >= 1}

    def overhead(self) -> str:
        """The same in a sentence, or ""."""
        parts = [f"{activity} take{'' if activity.endswith('s') else 's'} {share} %"
                 for activity, share in self.shares().items()]
        return " and ".join(parts) + " of the time" if parts else ""
