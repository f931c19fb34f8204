"""The last snapshot of a run that is not on, whoever trained it and however it ended."""

from typing import Any

from lib_sdtune.training import run_lock
from lib_sdtune.training.control import Control
from lib_sdtune.training.overfitting import of_ended
from lib_sdtune.training.run_states import ENDED, LIVE, UNKNOWN_STATUS
from lib_sdtune.training.runs import RunFolder


def last_status(folder: RunFolder, control: Control | None = None) -> dict[str, Any]:
    """The last snapshot of a run that is not on, also of one that was cut off.

    control: the run's own, if it ended in this process; it is right where its last word is not on the disk (yet).
    """
    written = folder.status()
    if control and written.get("state") in LIVE:
        written = control.snapshot()
    facts = {key: value for key, value in written.items() if has_type_of(value, UNKNOWN_STATUS.get(key, value))}
    method = "" if folder.problem() else folder.settings().get("method", "lora")
    status = {**UNKNOWN_STATUS, "method": method, **facts, "id": folder.path.name, "eta_seconds": None}
    owner = None if status["state"] in ENDED else run_lock.holder(folder.path)
    if owner and owner.use == run_lock.TRAINING:
        message = f"Another program trains this run ({owner.name}); it can be stopped there."
        return {**status, "message": message, "resumable": False}
    if status["state"] not in ENDED:
        status |= {"state": "stopped", "message": "The program ended before the run did; resume to go on."}
    if isinstance(status.get("validation"), dict):  # cut off, it could not say so itself
        status["validation"] = of_ended(status["validation"])
    return {**status, "resumable": folder.resumable()}


def has_type_of(value: object, example: object) -> bool:
    """Whether a value read from disk has the type of an example: text, a number or None, a list of texts."""
    if isinstance(example, list):
        return isinstance(value, list) and all(isinstance(part, str) for part in value)
    numbers = int | float | None
    return isinstance(value, numbers if isinstance(example, numbers) else type(example))
