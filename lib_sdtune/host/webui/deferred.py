"""Settings that would exchange the model, changed while it is lent: the change waits for the end and is reported."""

import time
from dataclasses import dataclass, field
from typing import Any

from modules import sd_models, shared

CHECKPOINT = "sd_model_checkpoint"


@dataclass
class Change:
    """value: what the setting is to become. asked: seconds since the epoch. state: waiting, done or failed."""

    value: Any
    asked: float = field(default_factory=time.time)
    state: str = "waiting"
    kept: Any = None  # what the setting was when that had been tried


class DeferredSettings:
    """changes: {setting: `Change`}. runs: how many have the model pinned; a second one can have borrowed it from the
    first.
    """

    def __init__(self) -> None:
        self.runs, self.changes = 0, dict[str, Change]()

    def report(self) -> list[dict[str, Any]]:
        """What waits, and what was done at a run's end, until somebody changes that setting again."""
        return [{"setting": key, "label": getattr(shared.opts.data_labels.get(key), "label", "") or key,
                 "value": name(key, change.value), "checkpoint": key == CHECKPOINT, "asked": change.asked,
                 "state": change.state}
                for key, change in sorted(self.changes.items())
                if change.state == "waiting" or change.kept == shared.opts.data.get(key)]

    def drop(self, key: str) -> None:
        """The change is not made, or its report is read."""
        self.changes.pop(key, None)

    def apply(self) -> None:
        """Make the changes, as the settings page would have, if no run is on. Call it with the queue lock free."""
        waiting = [key for key, change in self.changes.items() if change.state == "waiting"]
        for key in waiting:
            if not self.runs and (change := self.changes.get(key)):
                change.state = "done" if changed(key, change.value) else "failed"
                change.kept = shared.opts.data.get(key)


def changed(key: str, value: Any) -> bool:
    """Change a setting; whether it is so now."""
    if shared.opts.data.get(key) == value:
        return True
    try:
        accepted = shared.opts.set(key, value)
        if accepted:
            shared.opts.save(shared.config_filename)
    except AssertionError:  # the WebUI's word for frozen settings
        return False
    return accepted


def selected_checkpoint() -> str:
    """The title that the WebUI's drop-down is set to; "" for none."""
    return str(shared.opts.data.get(CHECKPOINT) or "")


def name(key: str, value: Any) -> str:
    """A checkpoint's title as people call it; other values as they are."""
    entry = sd_models.checkpoint_aliases.get(value) if key == CHECKPOINT else None
    return entry.name_for_extra if entry else str(value)
