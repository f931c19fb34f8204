"""What every service is handed: the host, the queue for its model, and the rules for which folders may be named."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lib_sdtune.access import Access
from lib_sdtune.job_queue import JobQueue

if TYPE_CHECKING:
    from lib_sdtune.data.scan import Scan
    from lib_sdtune.host.base import Host


class ServiceContext:
    """`host` is made by `make_host()` when it is needed first, because it imports torch.

    latest_scan: of a run's pictures; Check, Start and the run itself read only what has changed since.
    """

    def __init__(self, make_host: "Callable[[], Host]", access: Access | None = None) -> None:
        self.make_host, self.access, self.queue = make_host, access or Access(), JobQueue()
        self.latest_scan: Scan | None = None
        self._host: Host | None = None
        self._lock = threading.RLock()

    @property
    def host(self) -> "Host":
        with self._lock:
            if self._host is None:
                self._host = self.make_host()
            return self._host

    def sdtune_folder(self) -> Path:
        """Where runs and what belongs to them are kept."""
        return self.host.folder("sdtune")
