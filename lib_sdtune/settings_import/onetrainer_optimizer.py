"""OneTrainer's optimizer, of whose arguments its file holds those of all, and its schedule."""

from typing import Any

from lib_sdtune.settings_import.entries import Entry
from lib_sdtune.settings_import.onetrainer import OPTIMIZER_ARGUMENTS, SCHEDULES
from lib_sdtune.settings_import.optimizers import set_arguments, set_optimizer
from lib_sdtune.settings_import.reader import Reader
from lib_sdtune.settings_import.schedules import set_schedule


def set_optimizer_and_schedule(reader: Reader) -> None:
    entry = reader.settings.take("optimizer.optimizer")
    name = str(entry.value) if entry else "ADAMW"
    optimizer = set_optimizer(reader.draft, name.replace("_", ""), entry)
    arguments: dict[str, Any] = {}
    betas = [reader.value(f"optimizer.beta{number}") for number in (1, 2)]
    if None not in betas:
        arguments["betas"] = betas
    for key, argument in OPTIMIZER_ARGUMENTS.items():
        option = reader.settings.take(f"optimizer.{key}")
        if option:
            arguments[argument] = option.value
    set_arguments(reader.draft, {key: value for key, value in arguments.items() if is_for(key, optimizer)}, optimizer,
                  Entry("optimizer", name, reader.document.name))
    for key in [key for key in reader.settings if key.startswith("optimizer.")]:
        if key not in reader.settings.used:
            reader.settings.used.add(key)
            reader.draft.notes.off.append(key)
    schedule = reader.settings.take("learning_rate_scheduler")
    text = str(schedule.value).upper() if schedule else "CONSTANT"
    if text in SCHEDULES:
        set_schedule(reader.draft, SCHEDULES[text], schedule)
    elif text == "COSINE_WITH_RESTARTS":
        reader.draft.set(
            "train.lr_scheduler",
            "cosine_with_restarts",
            schedule,
            "falls and rises again evenly there; here it jumps up",
        )
    else:
        set_schedule(reader.draft, text.lower(), schedule)


def is_for(argument: str, optimizer: str) -> bool:
    """Whether OneTrainer passes an argument to that optimizer: its file holds those of all."""
    of_prodigy = {"d0", "d_coef", "decouple", "safeguard_warmup", "use_bias_correction", "growth_rate", "beta3"}
    of_sgd = {"momentum", "dampening", "nesterov"}
    if argument in of_prodigy:
        return optimizer == "Prodigy"
    return optimizer == "SGDNesterov" if argument in of_sgd else True
