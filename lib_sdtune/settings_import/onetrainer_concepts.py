"""OneTrainer's list of concepts: one folder each, with its captions, its repeats and its changes of the picture."""

from typing import Any

from lib_sdtune.settings_import.documents import flat
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry, abridged, flag, number
from lib_sdtune.settings_import.sd_scripts.files import entries_of

NO_EFFECT = ("__version", "image.__version", "text.__version", "name", "seed", "image.random_rotate_max_angle",
             "image.random_brightness_max_strength", "image.random_contrast_max_strength", "image.resolution_override",
             "image.random_saturation_max_strength", "image.random_hue_max_strength", "text.tag_delimiter",
             "concept_stats", "type", "enabled")
DEFAULTS = {"image_variations": 1, "text_variations": 1, "loss_weight": 1.0, "text.tag_delimiter": ","}
WHAT = {
    "include_subdirectories": "took the pictures of folders in it too, which happens here",
    "image_variations": "cached several crops of each picture",
    "text_variations": "cached several captions of each picture",
    "loss_weight": "weighted the pictures of this folder; loss.prior_loss_weight does for class pictures alone",
    "image.enable_crop_jitter": "shifted the crop a little; dataset.random_crop is the nearest",
    "image.enable_resolution_override": "had a size of its own; here all folders have one",
}
PER_RUN = {  # key: path; one value for all folders here
    "image.enable_random_flip": "dataset.flip_aug", "text.enable_tag_shuffling": "dataset.shuffle_caption",
    "text.keep_tags_count": "dataset.keep_tokens"}


def is_concepts(data: Any) -> bool:
    """Whether that is such a list."""
    return (
        isinstance(data, list)
        and bool(data)
        and all(
            isinstance(concept, dict)
            and "path" in concept
            and bool({"image", "text", "balancing", "image_variations"} & set(concept))
            for concept in data
        )
    )


def set_concepts(draft: Draft, data: Any, source: str) -> None:
    """Set concepts, and what of the first counts for the whole run."""
    if not isinstance(data, list):
        return
    concepts = []
    for index, table in enumerate(concept for concept in data if isinstance(concept, dict)):
        facts = entries_of(flat(table, deep=True), source)
        if not is_on(facts, "enabled", True):
            draft.notes.differ(Entry(f"concepts[{index}].enabled", False, source), "left out")
            continue
        concepts.append(concept_of(draft, facts, len(concepts)))
        for_all(draft, facts, first=len(concepts) == 1)
        name_rest(draft, facts)
    if concepts:
        draft.config["concepts"] = concepts


def is_on(facts: Entries, name: str, default: bool = False) -> bool:
    entry = facts.take(name)
    try:
        return flag(entry.value) if entry else default
    except ValueError:
        return default


def concept_of(draft: Draft, facts: Entries, index: int) -> dict[str, Any]:
    concept: dict[str, Any] = {}
    if path := facts.take("path"):
        concept["images"] = str(path.value)
        draft.notes.take(path, f"concepts[{index}].images", concept["images"])
    concept["repeats"] = repeats_of(draft, facts, index)
    source, file = facts.take("text.prompt_source"), facts.take("text.prompt_path")
    if source and str(source.value) == "concept" and file:
        draft.notes.differ(
            file, "one text file with the captions of all; write the caption here", f"concepts[{index}].prompt", ""
        )
    elif source and str(source.value) == "filename":
        draft.notes.differ(source, "the file's name is the caption, as it is here where there is no text file")
    elif source:
        draft.set("dataset.caption_extension", ".txt", source)
    if file and not (source and str(source.value) == "concept"):
        draft.notes.off.append(file.key)
    return concept


def repeats_of(draft: Draft, facts: Entries, index: int) -> int:
    """Showings of each picture an epoch: a fraction there, whole numbers from 1 here."""
    entry, kind = facts.take("balancing") or facts.take("repeats"), facts.take("balancing_strategy")
    if entry is None:
        return 1
    if kind and str(kind.value).upper() == "SAMPLES":
        draft.notes.refuse(entry, "was the number of pictures shown in an epoch; here each is shown once")
        return 1
    try:
        value = number(entry.value)
    except ValueError as error:
        draft.notes.unread(entry, error)
        return 1
    count = max(1, round(value))
    path = f"concepts[{index}].repeats"
    if count == value:
        draft.notes.take(entry, path, count)
    else:
        draft.notes.differ(entry, "whole numbers from 1 here", path, count)
    return count


def for_all(draft: Draft, facts: Entries, first: bool) -> None:
    """What one folder says and the whole run has here; the first one counts."""
    for key, path in PER_RUN.items():
        entry = facts.take(key)
        if entry is None:
            continue
        value = entry.value
        try:
            value = flag(value) if path != "dataset.keep_tokens" else int(number(value))
        except ValueError as error:
            draft.notes.unread(entry, error)
            continue
        if first:
            draft.set(path, value, entry)
        elif draft.get(path) != value:
            draft.notes.differ(entry, f"one value for all folders here, the first: {abridged(draft.get(path))}")


def name_rest(draft: Draft, facts: Entries) -> None:
    for name, entry in list(facts.unused()):
        value = entry.value
        if name in NO_EFFECT or value in (False, None, "", 0) or value == DEFAULTS.get(name):
            draft.notes.off.append(name)
        elif name in WHAT:
            draft.notes.refuse(entry, WHAT[name])
        else:
            draft.notes.refuse(entry, "changed pictures or captions in a way that is not known here")
