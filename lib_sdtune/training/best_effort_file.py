"""Files for whoever watches a run: one that cannot be written is told of once, and ends no run."""

import logging
from pathlib import Path

from lib_sdtune.errors import RunError, system_reason
from lib_sdtune.formats.files import is_full, overwrite_json, write_json

log = logging.getLogger("sdtune")


class BestEffortFile:
    """A JSON file of a run, such as status.json. told: whether the log has said that it cannot be written."""

    def __init__(self, path: Path) -> None:
        self.path, self.warned = path, False

    def write(self, data: object) -> None:
        """Whole, or in place where it has to be, or not at all; nobody waits for who has it open."""
        try:
            write_json(self.path, data, patience=0)
        except (OSError, RunError) as error:  # nobody shall read that a paused run still trains
            overwrite_json(self.path, data)
            self.tell(error)

    def tell(self, error: OSError | RunError) -> None:
        """Say so in the log the first time; of a full disk the run itself speaks, and pauses."""
        if not (self.warned or is_full(error)):
            self.warned = True
            log.warning("%s is not up to date, and the run goes on without it: %s", self.path.name,
                        system_reason(error))
