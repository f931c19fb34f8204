"""The learning rates of sd-scripts: one common rate, and those that parts have of their own."""

from typing import Any

from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry, fraction

DEFAULT = 2e-6
CACHED = ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk")


def set_rates(draft: Draft, options: Entries) -> None:
    """Set the rates of the method."""
    common = rate(draft, options.take("learning_rate"))
    parts = {"lora": of_network, "dreambooth": of_model}.get(draft.method)
    if parts is None:
        set_rate(draft, "textual_inversion.lr", common)
    else:
        parts(draft, options, common)


def rate(draft: Draft, entry: Entry | None) -> tuple[float, Entry] | None:
    """(rate, entry); None where there is none, or none that can be read. Of several the first, which is told."""
    if entry is None:
        return None
    values = listed(entry.value)
    try:
        rates = [fraction(value) for value in values]
    except ValueError as error:
        draft.notes.unread(entry, error)
        return None
    if len(set(rates)) > 1:
        draft.notes.differ(entry, f"one rate for both text encoders here: {rates[0]:g}")
    return (rates[0], entry) if rates else None


def listed(value: Any) -> list:
    if isinstance(value, str):
        return [part for part in value.strip(" []()").replace(",", " ").split() if part]
    return list(value) if isinstance(value, list | tuple) else [value]


def set_rate(draft: Draft, path: str, chosen: tuple[float, Entry] | None) -> None:
    if chosen is None:
        draft.default(path, draft.default_of("learning_rate", DEFAULT), "learning_rate")
    else:
        draft.set(path, *chosen)


def of_network(draft: Draft, options: Entries, common: tuple[float, Entry] | None) -> None:
    specific = {name: rate(draft, options.take(name)) for name in ("unet_lr", "text_encoder_lr")}
    unet_only, text_only = (options.take_switch(f"network_train_{part}_only") for part in ("unet", "text_encoder"))
    cached = next((entry for entry in [options.take_switch(name) for name in CACHED] if entry), None)
    if unet_only and text_only:
        draft.notes.warnings.append(f"{unet_only} and {text_only} contradict each other; both parts are trained.")
        unet_only = text_only = None
    if common and all(specific.values()):
        draft.notes.off.append(common[1].key)
    if "unet_lr" in draft.defaults and not specific["unet_lr"]:
        draft.default("lora.unet_lr", draft.defaults["unet_lr"], "unet_lr")
    else:
        set_rate(draft, "lora.unet_lr", specific["unet_lr"] or common)
    set_rate(draft, "lora.text_encoder_lr", specific["text_encoder_lr"] or common)
    if text_only:
        draft.set("lora.unet_lr", 0.0, text_only, "0 is what leaves the UNet out here")
    if unet_only or cached:
        how = "0 is what leaves the text encoder out here" if unet_only else "a cached text encoder is not trained"
        draft.set("lora.text_encoder_lr", 0.0, unet_only or cached, how)


def of_model(draft: Draft, options: Entries, common: tuple[float, Entry] | None) -> None:
    """train_db.py trains the text encoder at the common rate; the fine-tuning scripts only when they are told to."""
    first, first_encoder, two = (rate(draft, options.take(f"learning_rate_te{number}")) for number in ("", "1", "2"))
    switch = options.get("train_text_encoder")
    trained = options.take_switch("train_text_encoder")
    fine_tuning = switch is not None or draft.script in ("fine_tune", "sdxl_train")
    cached = next((entry for entry in [options.take_switch(name) for name in CACHED] if entry), None)
    set_rate(draft, "dreambooth.unet_lr", common)
    specific = (first_encoder or first) if draft.sdxl else (first or first_encoder)
    for unneeded in (first, first_encoder, two):
        if unneeded and unneeded is not specific:
            draft.notes.off.append(unneeded[1].key)
    if specific and two and draft.sdxl and two[0] != specific[0]:
        draft.notes.differ(two[1], f"one rate for both text encoders here: {specific[0]:g}")
    if cached or (fine_tuning and not trained):
        reason = cached or switch or Entry("train_text_encoder", "not set")
        draft.set("dreambooth.text_encoder_lr", 0.0, reason, "the text encoder is not trained then")
        if specific:
            draft.notes.off.append(specific[1].key)
    else:
        set_rate(draft, "dreambooth.text_encoder_lr", specific or common)
