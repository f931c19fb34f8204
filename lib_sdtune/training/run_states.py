"""The states of a run, what it can be asked for in which, and its answer where that does not go.

Whole phrases, because a page says them in languages that bend their words; one word alone may be somebody's name.
"""

from typing import Any

from lib_sdtune.sentences import phrase

LIVE = ("queued", "preparing", "training", "paused")
ENDED = ("finished", "stopped", "failed")
UNKNOWN_STATUS = {"method": "", "state": "queued", "step": 0, "total_steps": 0, "epoch": 0, "loss": None,
                  "seconds_per_step": None, "eta_seconds": None, "message": "", "artefacts": [], "samples": []}
"""What is said of a run of which nothing is known."""
ALLOWED_STATES = {  # what a run can be asked for: in which states
    "stop": LIVE,
    "stop_without_saving": LIVE,
    "interrupt": LIVE,
    "pause": ("preparing", "training"),
    "resume": ("paused",),
    "sample": ("training", "paused"),
    "save": ("training", "paused"),
}
STATE_PHRASES = {
    "queued": phrase("queued, so {}"),
    "preparing": phrase("preparing, so {}"),
    "training": phrase("training, so {}"),
    "paused": phrase("paused, so {}"),
    "finished": phrase("finished, so {}"),
    "stopped": phrase("stopped, so {}"),
    "failed": phrase("failed, so {}"),
}
REFUSAL_PHRASES = {
    "stop": phrase("it cannot stop now"),
    "stop_without_saving": phrase("it cannot stop without saving now"),
    "interrupt": phrase("it cannot be interrupted now"),
    "pause": phrase("it cannot pause now"),
    "resume": phrase("it cannot resume now"),
    "sample": phrase("it cannot draw samples now"),
    "save": phrase("it cannot save now"),
}


def state_phrase(state: str, consequence: str) -> str:
    """"paused, so it cannot pause now", say; behind "The run ron is"."""
    return STATE_PHRASES.get(state, f"{state}, so {{}}").format(consequence)


def refusal_phrase(action: str) -> str:
    """That a run does not do now what it was asked for."""
    return REFUSAL_PHRASES.get(action, f"it cannot {action.replace('_', ' ')} now")


def refusal(status: dict[str, Any], consequence: str) -> str:
    """Why a run that is not on in this process cannot go on: what its status says where another program trains it."""
    if status["state"] in LIVE:
        return status["message"]
    return f"The run {status['id']} is {state_phrase(status['state'], consequence)}."
