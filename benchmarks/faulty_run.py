"""A run of the smallest host with a fault at a chosen moment, for `benchmarks.kill`: the worker's half.

A moment is right before or right after a write to the disk or a rename (`os.replace`, `os.fsync`, the cache's
`tensor_store.write`): all are counted, from 1.
"""

import errno
import os
import shutil
import signal
import sys
from pathlib import Path

from lib_sdtune.data import tensor_store
from lib_sdtune.errors import DiskFull, UserError
from lib_sdtune.training import runs, state
from tests.hosts import TinyHost, train

FULL_DISK = 28  # the exit code where the run ended because the disk was full


class Moments:
    """Counts the moments of this process, and kills it or fills its disk at number `at` (0: never)."""

    def __init__(self, at: int, fault: str):
        self.at, self.fault, self.count, self.full = at, fault, 0, False

    def passed(self) -> None:
        self.count += 1
        if self.count != self.at:
            return
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        self.full = True

    def around(self, function):
        """`function` with a moment before and after; it raises ENOSPC where the disk is full."""
        def call(*arguments, **named):
            self.passed()
            if self.full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            result = function(*arguments, **named)
            self.passed()
            return result
        return call

    def free_space(self, disk_usage):
        """`shutil.disk_usage` that tells of a full disk."""
        return lambda path: disk_usage(path)._replace(free=0) if self.full else disk_usage(path)

    def make_room(self, control) -> None:
        """What a person does when the run has paused: the disk takes files again."""
        if control.state == "paused":
            self.full = False


def work(data: Path, config: dict, moment: int, fault: str, report: Path) -> None:
    """Train `config` in `data`, or go on, with the fault at `moment`. Writes the number of moments into `report`;
    stderr goes to `report` with the suffix .stderr. To be the whole of a process: it changes `os` and may end it.
    """
    errors = os.open(report.with_suffix(".stderr"), os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(errors, sys.stderr.fileno())
    moments = Moments(moment, fault)
    shutil.disk_usage = moments.free_space(shutil.disk_usage)
    os.replace, os.fsync, tensor_store.write = map(moments.around, (os.replace, os.fsync, tensor_store.write))
    host, folder = TinyHost(data), data / "sdtune" / "runs" / config["name"]
    if runs.RunFolder(folder).status().get("state") != "finished":
        try:
            train(host, config, resume=state.newest(folder) is not None, watch=moments.make_room)
        except (DiskFull, UserError) as error:
            if moments.full and "Make room" in str(error):
                sys.exit(FULL_DISK)
            raise
    report.write_text(str(moments.count), encoding="utf-8")
