"""EveryDream2's optimizer file: optimizer, rates, schedule and warm-up, with what its main file says of them."""

from typing import Any

from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry, fraction, integer, number
from lib_sdtune.settings_import.optimizers import set_arguments, set_optimizer
from lib_sdtune.settings_import.schedules import set_schedule
from lib_sdtune.settings_import.steps import total_steps

LEARNING_RATE = 1e-6
DECAY = 1.5  # times the run: the length of its schedules, where the file says none
WARMUP = 0.02  # of that length


def set_learning(
    draft: Draft, optimizer: Document | None, specific: dict[str, Entry | None], scale: Entry | None
) -> None:
    """Optimizer, rates, schedule and warm-up, from the optimizer file where the main file says nothing."""
    table = optimizer.table if optimizer else {}
    source = optimizer.name if optimizer else ""
    base, text = (
        table.get(part) if isinstance(table.get(part), dict) else {} for part in ("base", "text_encoder_overrides")
    )
    entries = {
        name: specific.get(name)
        or (Entry(f"base.{name}", value, source) if (value := base.get(name)) is not None else None)
        for name in ("lr", "lr_scheduler", "lr_warmup_steps", "lr_decay_steps")
    }
    kind = Entry("base.optimizer", base["optimizer"], source) if base.get("optimizer") else None
    name = set_optimizer(draft, str(kind.value) if kind else "adamw8bit", kind)
    arguments = {
        {"epsilon": "eps"}.get(key, key): value
        for key, value in base.items()
        if value is not None
        and key
        in (
            "betas",
            "epsilon",
            "weight_decay",
            "d0",
            "decouple",
            "use_bias_correction",
            "safeguard_warmup",
            "d_coef",
            "momentum",
            "nesterov",
            "growth_rate",
        )
    }
    set_arguments(draft, arguments, name, Entry("base", arguments, source))
    set_rates(draft, entries["lr"], text, source, scale)
    schedule = entries["lr_scheduler"]
    set_schedule(draft, str(schedule.value) if schedule else "constant", schedule)
    for key in ("lr_scheduler", "optimizer"):
        if text.get(key) not in (None, base.get(key)):
            draft.notes.refuse(
                Entry(f"text_encoder_overrides.{key}", text[key], source),
                "was another one for the text encoder; here one for all",
            )
    frozen = table.get("text_encoder_freezing")
    if isinstance(frozen, dict) and frozen.get("unfreeze_last_n_layers"):
        draft.notes.refuse(Entry("unfreeze_last_n_layers", frozen["unfreeze_last_n_layers"], source),
                           "trained the last layers of the text encoder alone")
    set_warmup(draft, entries["lr_warmup_steps"], entries["lr_decay_steps"])


def set_rates(draft: Draft, entry: Entry | None, text: dict[str, Any], source: str, scale: Entry | None) -> None:
    factor = 1.0
    if scale and str(scale.value).lower() in ("true", "1"):
        factor = (draft.get("train.batch_size", 1) * draft.get("train.gradient_accumulation_steps", 1)) ** 0.5
        draft.notes.differ(
            scale, f"multiplied the rate by the root of batch times accumulation, {factor:g}; done already"
        )
    try:
        rate = fraction(entry.value) if entry else LEARNING_RATE
    except ValueError as error:
        if entry:
            draft.notes.unread(entry, error)
        entry, rate = None, LEARNING_RATE
    if entry:
        draft.set("dreambooth.unet_lr", rate * factor, entry)
    else:
        draft.default("dreambooth.unet_lr", rate * factor, "lr")
    specific, share = (draft.readable(Entry(f"text_encoder_overrides.{name}", text[name], source), fraction)
                       if text.get(name) is not None else None for name in ("lr", "text_encoder_lr_scale"))
    if specific is None and share and fraction(share.value):
        specific = Entry("text_encoder_overrides.lr", rate * fraction(share.value), source)
    if specific is None:
        draft.set("dreambooth.text_encoder_lr", rate * factor, entry)
    else:
        draft.set("dreambooth.text_encoder_lr", fraction(specific.value) * factor, specific)


def set_warmup(draft: Draft, warmup: Entry | None, decay: Entry | None) -> None:
    """Steps; without any, 2 % of the schedule's length, which is one and a half times the run."""
    warmup, decay = draft.readable(warmup, integer), draft.readable(decay, number)
    length = number(decay.value) if decay else 0
    if length >= 1 and decay and draft.get("train.lr_scheduler") not in ("constant", "constant_with_warmup"):
        draft.notes.refuse(decay, "was the length of the schedule; here it is the run's")
    elif decay:
        draft.notes.off.append(decay.key)
    draft.assign("train.lr_warmup_steps", 0)
    if warmup:
        draft.set("train.lr_warmup_steps", integer(warmup.value), warmup)
    elif draft.get("train.lr_scheduler") != "constant":
        total = total_steps(draft)
        path, steps = "train.lr_warmup_steps", length if length >= 1 else total * DECAY if total else 0
        draft.set(
            path,
            int(steps * WARMUP),
            Entry("lr_warmup_steps", "not set"),
            "2 % of the schedule's length"
            + ("" if steps else "; it becomes steps when the pictures are there (--images)"),
        )
