"""Which model sd-scripts trains, and at which precision."""

from lib_sdtune.settings_import.checkpoints import set_checkpoint
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry, flag, integer, text


def set_model(draft: Draft, options: Entries) -> None:
    """Set the section "model"."""
    draft.config.setdefault("model", {}).setdefault("checkpoint", "")
    if checkpoint := options.take("pretrained_model_name_or_path"):
        set_checkpoint(draft, checkpoint)
    sdxl = options.take_switch("sdxl")
    if sdxl:
        draft.sdxl = True
    for name in ("sdxl", "v2"):
        if entry := options.get(name):
            draft.notes.off.append(entry.key)
            options.used.add(name)
    draft.assign("model.prediction_type", "auto")
    if prediction := options.take_switch("v_parameterization"):
        draft.set("model.prediction_type", "v_prediction", prediction)
    elif entry := options.get("v_parameterization"):
        draft.notes.off.append(entry.key)
    set_clip_skip(draft, options.take("clip_skip"))


def set_clip_skip(draft: Draft, entry: Entry | None) -> None:
    """Set model.clip_skip; 0 means the last layer, as 1 does."""
    draft.assign("model.clip_skip", 1)
    if entry is None:
        return
    try:
        skip = integer(entry.value)
    except ValueError as error:
        draft.notes.unread(entry, error)
        return
    if draft.sdxl and skip > 1:
        draft.set("model.clip_skip", 1, entry, "without effect on SDXL, there and here")
    else:
        draft.set("model.clip_skip", max(1, skip), entry, "0 means the last layer, which is 1 here" if skip < 1 else "")


def set_precision(draft: Draft, options: Entries) -> None:
    """Set train.mixed_precision, gradient_checkpointing and dreambooth.weights."""
    entry = options.take("mixed_precision")
    if entry:
        draft.set("train.mixed_precision", text(entry.value).lower(), entry)
    else:
        draft.default("train.mixed_precision", draft.default_of("mixed_precision", "no"), "mixed_precision")
    checkpointing = options.take("gradient_checkpointing")
    try:
        value = flag(checkpointing.value) if checkpointing else False
    except ValueError:
        value = True  # a text such as "ON"
    if checkpointing:
        draft.set("train.gradient_checkpointing", "on" if value else "off", checkpointing)
    else:
        draft.default("train.gradient_checkpointing", "off", "gradient_checkpointing")
    set_weights(draft, options, options.take_switch("full_bf16"))


def set_weights(draft: Draft, options: Entries, full_bf16: Entry | None) -> None:
    if full_bf16 is None:
        if entry := options.get("full_bf16"):
            draft.notes.off.append(entry.key)
    elif draft.method != "dreambooth":
        draft.notes.refuse(full_bf16, "trained the network itself in bfloat16; here it stays float32")
    elif draft.get("train.mixed_precision") == "no":
        draft.notes.refuse(
            full_bf16, "wants mixed_precision bf16, which the file does not have; the weights stay precise"
        )
    else:
        draft.set("dreambooth.weights", "bfloat16", full_bf16)


def set_seed(draft: Draft, entry: Entry | None) -> None:
    """Set train.seed; without one there, sd-scripts draws one, and ours stays."""
    if entry is None:
        return
    try:
        draft.set("train.seed", integer(entry.value), entry)
    except ValueError as error:
        draft.notes.unread(entry, error)


def name_processes(draft: Draft, options: Entries) -> None:
    """Several GPUs show as many times more pictures in a step."""
    entry = options.take("num_processes")
    several = options.take_switch("multi_gpu")
    try:
        count = integer(entry.value) if entry else 1
    except ValueError:
        count = 1
    if count > 1 and entry:
        draft.notes.differ(entry, f"each step showed {count} times as many pictures; set train.batch_size to "
                                  f"{count} times itself, or train.gradient_accumulation_steps")
    elif several:
        draft.notes.differ(several, "each step showed as many times more pictures as there are GPUs")
    else:
        draft.notes.off.extend(entry.key for name in ("num_processes", "multi_gpu") if (entry := options.get(name)))


def set_attention(draft: Draft, options: Entries) -> None:
    """xformers is true or a name in some programs; either way it changes no result."""
    if entry := options.take("xformers"):
        draft.notes.off.append(entry.key)
