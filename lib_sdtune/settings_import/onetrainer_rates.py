"""OneTrainer's learning rates: of each part that is trained, scaled as it scales them, and what belongs to an
embedding.
"""

import math
from pathlib import PurePath

from lib_sdtune.settings_import.entries import Entry, integer
from lib_sdtune.settings_import.reader import Reader

LEARNING_RATE = 3e-6


def rate_scale(reader: Reader) -> float:
    """What the rates are multiplied by."""
    entry = reader.settings.take("learning_rate_scaler")
    kind = str(entry.value).upper() if entry else "NONE"
    batch, accumulation = reader.number("batch_size", 1), reader.number("gradient_accumulation_steps", 1)
    factor = {"BATCH": batch, "GRADIENT_ACCUMULATION": accumulation, "BOTH": batch * accumulation}.get(
        kind.removeprefix("GLOBAL_"), 1)
    if entry and factor != 1:
        reader.draft.notes.differ(
            entry, f"the rates are multiplied by the root of {factor:g}; here that is done already"
        )
    elif entry:
        reader.draft.notes.off.append(entry.key)
    return math.sqrt(factor)


def set_rates(reader: Reader) -> None:
    """The rate of each part that is trained; 0 for one that is not."""
    scale = rate_scale(reader)
    common = reader.settings.take("learning_rate")
    method = reader.draft.method
    if method == "textual_inversion":
        specific = reader.settings.take("embedding_learning_rate")
        set_rate(reader, "textual_inversion.lr", specific or common, scale)
        set_embedding(reader)
        return
    set_rate(
        reader,
        f"{method}.unet_lr",
        reader.settings.take("unet.learning_rate") or reader.settings.take("unet_learning_rate") or common,
        scale,
    )
    if not reader.is_on("unet.train", reader.is_on("train_unet", True)):
        entry = reader.settings.get("unet.train") or reader.settings.get("train_unet")
        reader.draft.set(f"{method}.unet_lr", 0.0, entry, "0 leaves the UNet out here")
    set_text_encoder(reader, method, common, scale)
    reader.settings.used.update(("unet.train", "train_unet"))


def set_text_encoder(reader: Reader, method: str, common: Entry | None, scale: float) -> None:
    path = f"{method}.text_encoder_lr"
    specific = [
        entry
        for name in (
            "text_encoder.learning_rate",
            "text_encoder_learning_rate",
            "text_encoder_2.learning_rate",
            "text_encoder_2_learning_rate",
        )
        if (entry := reader.settings.take(name))
    ]
    set_rate(reader, path, specific[0] if specific else common, scale)
    if len({str(entry.value) for entry in specific}) > 1:
        reader.draft.notes.differ(specific[1], "one rate for both text encoders here, the first's")
    names = ["text_encoder.train", "train_text_encoder"]
    trained = reader.is_on(names[0], reader.is_on(names[1], True))
    if reader.draft.sdxl:
        second = reader.is_on("text_encoder_2.train", reader.is_on("train_text_encoder_2", True))
        if trained != second:
            reader.draft.notes.differ(
                Entry("text_encoder_2.train", second), "both text encoders of SDXL are trained here, or none"
            )
        trained = trained or second
    if not trained:
        entry = next((reader.settings[name] for name in names if name in reader.settings), None)
        reader.draft.set(path, 0.0, entry, "0 leaves the text encoder out here")


def set_rate(reader: Reader, path: str, entry: Entry | None, scale: float) -> None:
    value = reader.fraction(entry)
    if value is None:
        reader.draft.default(path, LEARNING_RATE * scale, "learning_rate")
    else:
        reader.draft.set(path, value * scale, entry, f"times {scale:g}, as its scaler says" if scale != 1 else "")


def set_embedding(reader: Reader) -> None:
    """The embedding: `embedding` of new versions, the first of `embeddings` of old ones."""
    listed = reader.settings.take("embeddings")
    first = listed.value[0] if listed and isinstance(listed.value, list) and listed.value else {}
    source = reader.document.name
    facts = (
        {f"embedding.{key}": Entry(f"embeddings[0].{key}", value, source) for key, value in first.items()}
        if isinstance(first, dict)
        else {}
    )
    for name, entry in facts.items():
        reader.settings.setdefault(name, entry)
    for name, path, kind in (
        ("token_count", "num_vectors_per_token", integer),
        ("initial_embedding_text", "init_text", str),
        ("placeholder", "token", str),
        ("model_name", "init_embedding", str),
    ):
        entry = reader.settings.take(f"embedding.{name}")
        if entry is None:
            continue
        value = kind(entry.value)
        if name == "model_name":
            value = PurePath(value.replace("\\", "/")).stem
        if name == "placeholder" and value == "<embedding>":
            reader.draft.notes.off.append(entry.key)
            continue
        reader.draft.set(f"textual_inversion.{path}", value, entry)
    reader.draft.config.setdefault("textual_inversion", {}).setdefault("num_vectors_per_token", 1)
    remaining = reader.settings.take("additional_embeddings")
    if remaining:
        reader.draft.notes.refuse(remaining, "trained further embeddings together; one is trained here")
