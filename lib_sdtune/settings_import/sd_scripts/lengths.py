"""Lengths of sd-scripts: steps, epochs, and what is given as a share of the whole run."""

import math

from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry, integer, number

LORA_SCRIPTS = "lora-scripts"
PICTURES = "a share of the run becomes steps when the pictures are there (--images); until then it is 0"


def share_of(value: object) -> float | None:
    """The share that a value means ("10%", 0.1), None where it means steps. ValueError where it is no number."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return float(value.strip().rstrip("%")) / 100
    is_fraction = isinstance(value, float) or (isinstance(value, str) and any(sign in value for sign in ".eE"))
    result = number(value)
    return float(result) if is_fraction and abs(result) <= 1 else None


def set_steps(draft: Draft, options: Entries, name: str, total: int | None) -> None:
    """Set train.lr_warmup_steps or train.lr_decay_steps: steps, or a share of the run."""
    entry, path = options.take(name), f"train.{name}"
    if entry is None:
        draft.assign(path, 0)
        return
    try:
        share = share_of(entry.value)
        steps = integer(entry.value) if share is None else 0
    except ValueError as error:
        draft.notes.unread(entry, error)
        draft.assign(path, 0)
        return
    if share is None:
        draft.set(path, steps, entry)
    else:
        set_share(draft, path, share, entry, total)


def set_share(draft: Draft, path: str, share: float, entry: Entry, total: int | None, up: bool = False) -> None:
    """Set steps that the file gives as a share of `total` steps; `up`: rounded up."""
    if share == 0:
        draft.set(path, 0, entry)
    elif total is None:
        draft.set(path, 0, entry, PICTURES)
    else:
        steps = math.ceil(share * total) if up else int(round(share * total, 6))
        draft.set(path, steps, entry, f"{share:g} of all {total} steps")


def set_stop(draft: Draft, options: Entries, total: int | None) -> None:
    """Set train.stop_text_encoder_training."""
    draft.assign("train.stop_text_encoder_training", 0)
    entry = options.take("stop_text_encoder_training")
    if entry is None:
        return
    try:
        share = entry.value if isinstance(entry.value, Share) else None
        step = 0 if share is not None else integer(entry.value)
    except ValueError as error:
        draft.notes.unread(entry, error)
        return
    if draft.method != "dreambooth":
        of_network(draft, entry, step)
        return
    if share:
        if share < 1:
            set_share(draft, "train.stop_text_encoder_training", share, entry, total, up=True)
        else:
            draft.notes.off.append(entry.key)
    elif step < 0:
        draft.set("dreambooth.text_encoder_lr", 0.0, entry, "below 0 the text encoder is not trained at all")
    elif step == 0:
        draft.set("dreambooth.text_encoder_lr", 0.0, entry, "stopped before the first step there")
    else:
        draft.set("train.stop_text_encoder_training", step, entry)


def of_network(draft: Draft, entry: Entry, step: int) -> None:
    """train_network.py has no such option: kohya_ss leaves it out, lora-scripts passes it on all the same."""
    if step > 0 and draft.program == LORA_SCRIPTS:
        draft.set("train.stop_text_encoder_training", step, entry, "train_network.py has no such option; here it works")
    elif entry.value:
        draft.notes.refuse(entry, "train_network.py has no such option; the text encoder was trained to the end")
    else:
        draft.notes.off.append(entry.key)


class Share(float):
    """A share of the run, 0 to 1, that a file gives as a percentage."""

    def __str__(self) -> str:
        return f"{float(self) * 100:g} percent"
