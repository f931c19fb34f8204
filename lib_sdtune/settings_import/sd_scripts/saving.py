"""When sd-scripts saves, and what the file is called."""


from lib_sdtune.errors import UserError
from lib_sdtune.formats.names import allowed, check_artefact_name
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry, integer, text

ENDINGS = (".safetensors", ".ckpt", ".pt", ".bin")
STATE_EVERY = 100  # steps, ours


def set_name(draft: Draft, entry: Entry | None) -> None:
    """Set the name: what the user gave, else the file's, made fit for a file name."""
    if draft.name:
        draft.config["name"] = draft.name
    elif entry:
        name = clean(text(entry.value))
        if name:
            draft.set(
                "name",
                name,
                entry,
                "" if name == text(entry.value) else "a name here has letters, digits, blanks and . _ - alone",
            )


def clean(name: str) -> str:
    """The nearest name that a file can have; "" where nothing is left of it."""
    stem = name.replace("\\", "/").rpartition("/")[2]
    for ending in ENDINGS:
        stem = stem[: -len(ending)] if stem.lower().endswith(ending) else stem
    result = "".join(letter if allowed(letter) else "_" for letter in stem).strip(" .")[:100].rstrip(" .")
    for candidate in (result, f"{result} LoRA", result[:40].rstrip(" .")):
        try:
            return check_artefact_name(candidate, [])
        except UserError:
            continue
    return ""


def count(draft: Draft, options: Entries, name: str) -> tuple[int, Entry | None]:
    """(whole number from 0, entry); 0 where it is absent."""
    entry = options.take(name)
    try:
        value = integer(entry.value) if entry else 0
    except ValueError as error:
        if entry:
            draft.notes.unread(entry, error)
        return 0, None
    if entry and value <= 0:
        draft.notes.off.append(entry.key)
        return 0, None
    return value, entry


def set_saving(draft: Draft, options: Entries) -> None:
    """Set the section "save"."""
    set_precision(draft, options.take("save_precision"))
    epochs, by_epochs = count(draft, options, "save_every_n_epochs")
    steps, by_steps = count(draft, options, "save_every_n_steps")
    ratio, by_ratio = count(draft, options, "save_n_epoch_ratio")
    total = draft.get("train.max_train_epochs", 0)
    if by_ratio and total:
        epochs = max(1, total // ratio)
        draft.set("save.every_n_epochs", epochs, by_ratio, f"at least {ratio} files of {total} epochs")
    elif by_ratio:
        draft.notes.refuse(by_ratio, "divided the epochs, and the settings count steps")
    if not (by_ratio and total):
        draft.set("save.every_n_epochs", epochs, by_epochs)
    draft.set("save.every_n_steps", steps, by_steps)
    set_keep_last(draft, options, steps)
    set_state(draft, options, steps)
    set_format(draft, options.take("save_model_as"))


def set_precision(draft: Draft, entry: Entry | None) -> None:
    if entry is None:
        draft.default("save.precision", draft.default_of("save_precision", "float"), "save_precision")
        return
    precision = {"fp32": "float", "float32": "float", "float16": "fp16", "bfloat16": "bf16"}
    value = text(entry.value).lower()
    draft.set("save.precision", precision.get(value, value), entry)


def set_keep_last(draft: Draft, options: Entries, every: int) -> None:
    files, by_epochs = count(draft, options, "save_last_n_epochs")
    steps, by_steps = count(draft, options, "save_last_n_steps")
    draft.assign("save.keep_last", 0)
    if by_epochs:
        draft.set("save.keep_last", files, by_epochs)
    if by_steps and every and not by_epochs:
        draft.set("save.keep_last", steps // every + 1, by_steps,
                  f"steps there, files here: those of the last {steps} steps, one every {every}, and the newest")
    elif by_steps:
        draft.notes.refuse(by_steps, "deleted files older than so many steps; save.keep_last counts files")


def set_state(draft: Draft, options: Entries, every: int) -> None:
    """A run here keeps a resume point by steps, whatever the file says: without one a run can be lost."""
    entry = options.take_switch("save_state")
    if entry and every:
        draft.set("save.state_every_n_steps", every, entry, "by steps here, as often as files are saved")
    elif entry:
        draft.set("save.state_every_n_steps", STATE_EVERY, entry, "by steps here")
    elif other := options.get("save_state"):
        draft.set(
            "save.state_every_n_steps", STATE_EVERY, other, "a run here always keeps its last state; 0 keeps none"
        )


def set_format(draft: Draft, entry: Entry | None) -> None:
    if draft.method == "textual_inversion":
        value = text(entry.value).lower() if entry else draft.default_of("save_model_as", "pt")
        kind = "safetensors" if "safetensors" in value else "pt"
        if entry:
            draft.set("textual_inversion.save_model_as", kind, entry)
        else:
            draft.default("textual_inversion.save_model_as", kind, "save_model_as")
    elif entry and text(entry.value).lower() != "safetensors":
        draft.notes.refuse(entry, "the file is safetensors here")
    elif entry:
        draft.notes.off.append(entry.key)
