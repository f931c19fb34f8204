"""How long a run will take, from what earlier runs took on this machine."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib_sdtune import prompt_lines
from lib_sdtune.training.duration import Conditions, Measured, StepTime, due_after, seconds_due, step_time

if TYPE_CHECKING:
    from lib_sdtune.config import Config
    from lib_sdtune.host.base import Host

OPTIONS = ("train.gradient_checkpointing", "train.mixed_precision", "train.optimizer", "loss.prior_preservation")


@dataclass(frozen=True)
class Expected:
    """Seconds of a whole run, probably between `low` and `high`; besides: those that no step takes."""

    seconds: float
    low: float
    high: float
    besides: float
    step: StepTime


def expected(config: "Config", host: "Host", runs: Iterable[dict[str, Any]],
             settings_of: Callable[[str], dict[str, Any]], steps: int, steps_per_epoch: int) -> Expected | None:
    """What `steps` steps with what is due between them take; None where nothing of that family was trained yet.

    runs: snapshots of earlier ones. settings_of(name): the settings of one, as a nested dict; UserError.
    """
    from lib_sdtune.errors import UserError

    family = host.about(config.model).get("family", "")
    earlier: dict[str, tuple[Measured, dict[str, Any], dict[str, Any]]] = {}
    for run in runs:
        if not run["seconds_per_step"] or run.get("problem"):
            continue
        try:
            settings = settings_of(run["id"])
            measured = Measured(run["id"], conditions(settings, run.get("family", "")), run["seconds_per_step"],
                                run["updated"])
        except (UserError, KeyError, TypeError, ValueError):
            continue  # written by another version
        earlier[run["id"]] = measured, settings, run
    step = step_time(conditions(config.to_dict(), family), [measured for measured, _, _ in earlier.values()])
    if step is None:
        return None
    _, settings, run = earlier[step.measured.run]
    validates = bool(config.validation.split or config.validation.images)
    besides = seconds_due(due_after(config, 0, steps, steps_per_epoch, validates), seconds_each(config, settings, run))
    return Expected(*(steps * seconds + besides for seconds in (step.seconds, step.low, step.high)), besides, step)


def conditions(settings: dict[str, Any], family: str) -> Conditions:
    """What the settings of a run, as a nested dict, say of its steps."""
    train, method = settings["train"], settings["method"]
    pictures = train["batch_size"] * train["gradient_accumulation_steps"]
    options = tuple(settings[section].get(key) for section, key in (path.split(".") for path in OPTIONS))
    trains_text = bool(settings.get(method, {}).get("text_encoder_lr"))
    return Conditions(method, family, settings["dataset"]["resolution"] ** 2 * pictures, (*options, trains_text))


def seconds_each(config: "Config", settings: dict[str, Any], run: dict[str, Any]) -> dict[str, float]:
    """{"samples", "validation", "saving": seconds of one}, the samples scaled by how much is drawn."""
    seconds = {what: value for what, value in (run.get("seconds_each") or {}).items() if isinstance(value, int | float)}
    before = drawing(settings["sample"], settings["dataset"]["resolution"])
    if before and "samples" in seconds:
        now = config.to_dict()
        seconds["samples"] *= drawing(now["sample"], now["dataset"]["resolution"]) / before
    return seconds


def drawing(sample: dict[str, Any], resolution: int) -> float:
    """Pictures x steps x pixels of one round of samples."""
    pictures = len(prompt_lines.spoken(sample["prompts"]))
    return float(pictures * sample["steps"] * (sample["width"] or resolution) * (sample["height"] or resolution))
