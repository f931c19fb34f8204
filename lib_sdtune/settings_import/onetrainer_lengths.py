"""OneTrainer's lengths: epochs, warm-up, the text encoder's stop, and how often it saves and samples, each in its
unit.
"""

from lib_sdtune.settings_import.entries import Entry, number
from lib_sdtune.settings_import.reader import Reader
from lib_sdtune.settings_import.steps import steps_per_epoch

WARMUP = 200


def set_length(reader: Reader) -> None:
    """Epochs; the warm-up is micro-steps above 1, else a share; the text encoder may stop after some epochs."""
    draft = reader.draft
    draft.assign("train.max_train_steps", 0)
    entry = reader.settings.take("epochs")
    epochs = int(reader.number("epochs", 100))
    if entry:
        draft.set("train.max_train_epochs", epochs, entry)
    else:
        draft.default("train.max_train_epochs", epochs, "epochs")
    steps_of_epoch = steps_per_epoch(draft)
    accumulation = max(1, int(reader.number("gradient_accumulation_steps", 1)))
    set_warmup(reader, epochs * steps_of_epoch if steps_of_epoch else None, accumulation)
    set_stop(reader, steps_of_epoch)


def set_warmup(reader: Reader, total: int | None, accumulation: int) -> None:
    entry = reader.settings.take("learning_rate_warmup_steps")
    value = reader.number("learning_rate_warmup_steps", WARMUP)
    path, entry_or_default = (
        "train.lr_warmup_steps",
        entry or Entry("learning_rate_warmup_steps", f"{WARMUP} by default"),
    )
    if value > 1:
        how = f"counted in micro-steps: divided by {accumulation}" if accumulation > 1 else ""
        steps = int(value / accumulation)
        if entry or how:
            reader.draft.set(path, steps, entry_or_default, how)
        else:
            reader.draft.default(path, steps, "learning_rate_warmup_steps")
    elif total is None and value:
        reader.draft.set(
            path,
            0,
            entry_or_default,
            "a share of the run, which becomes steps when the pictures are there (--images); until then it is 0",
        )
    else:
        reader.draft.set(path, int(value * (total or 0)), entry, "a share of the run")
    if reader.draft.get(path) and reader.draft.get("train.lr_scheduler") == "constant":
        original = reader.draft.origins.get("train.lr_scheduler") or Entry(
            "learning_rate_scheduler", "CONSTANT by default"
        )
        reader.draft.set(
            "train.lr_scheduler",
            "constant_with_warmup",
            original,
            "with a warm-up, as learning_rate_warmup_steps asks for",
        )


def set_stop(reader: Reader, steps_of_epoch: int | None) -> None:
    reader.draft.assign("train.stop_text_encoder_training", 0)
    entry, unit = reader.settings.take("text_encoder.stop_training_after"), reader.value(
        "text_encoder.stop_training_after_unit", "NEVER")
    entry = entry or reader.settings.take("train_text_encoder_epochs")
    if entry and entry.key == "train_text_encoder_epochs":
        unit = "EPOCH"
    learns = reader.draft.get(f"{reader.draft.method}.text_encoder_lr", 0)
    if entry is None or str(unit).upper() == "NEVER" or not learns or not number_of(reader, entry):
        if entry:
            reader.draft.notes.off.append(entry.key)
        return
    count, path = number_of(reader, entry), "train.stop_text_encoder_training"
    if str(unit).upper() == "EPOCH" and steps_of_epoch:
        reader.draft.set(path, count * steps_of_epoch, entry, f"epochs there; steps of each: {steps_of_epoch}")
    elif str(unit).upper() == "STEP":
        reader.draft.set(path, count, entry)
    else:
        reader.draft.notes.refuse(entry, f"in units of {unit}; it becomes steps when the pictures are there (--images)")


def number_of(reader: Reader, entry: Entry) -> int:
    try:
        return int(number(entry.value))
    except ValueError:
        return 0


def set_rhythms(reader: Reader) -> None:
    """Saves, samples and backups, each with a unit of its own."""
    set_rhythm(reader, "save_every" if "save_every" in reader.settings else "save_after", "save", 0, "NEVER")
    set_rhythm(reader, "sample_after", "sample", 10, "MINUTE")
    for name in ("backup_after", "backup_after_unit"):
        if entry := reader.settings.take(name):
            reader.draft.notes.off.append(entry.key)


def set_rhythm(reader: Reader, name: str, section: str, default: int, default_unit: str) -> None:
    entry, unit = reader.settings.take(name), str(reader.value(f"{name}_unit", default_unit)).upper()
    value = int(reader.number(name, default))
    for counted in ("epochs", "steps"):
        reader.draft.assign(f"{section}.every_n_{counted}", 0)
    if unit in ("EPOCH", "STEP") and value:
        reader.draft.set(f"{section}.every_n_{unit.lower()}s", value, entry)
    elif unit != "NEVER" and value and entry:
        reader.draft.notes.refuse(entry, f"in units of {unit}; here epochs or steps")
    elif entry:
        reader.draft.notes.off.append(entry.key)
