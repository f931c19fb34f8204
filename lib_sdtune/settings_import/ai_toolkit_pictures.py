"""ai-toolkit's data sets: a concept for each, and what the first says of captions and sizes, which counts for the
run.
"""

from typing import Any

from lib_sdtune.settings_import.entries import Entries, flag, number
from lib_sdtune.settings_import.option import Option, apply, name_unknown
from lib_sdtune.settings_import.reader import Reader
from lib_sdtune.settings_import.sd_scripts.files import entries_of
from lib_sdtune.settings_import.sd_scripts.pictures import set_images, sides_of


def set_pictures(reader: Reader, datasets: list[dict[str, Any]]) -> None:
    """A concept for each data set; what the first says of captions and sizes counts for the run."""
    draft, source = reader.draft, reader.document.name
    draft.config["concepts"] = []
    for index, table in enumerate(datasets):
        facts = entries_of(table, source)
        concept: dict[str, Any] = {}
        if folder := facts.take("folder_path"):
            concept["images"] = str(folder.value)
            draft.notes.take(folder, f"concepts[{index}].images", concept["images"])
        concept["repeats"] = 1
        if repeats := draft.readable(facts.take("num_repeats"), number):
            concept["repeats"] = max(1, int(number(repeats.value)))
            draft.notes.take(repeats, f"concepts[{index}].repeats", concept["repeats"])
        if words := facts.take("default_caption"):
            concept["prompt"] = str(words.value)
            draft.notes.take(words, f"concepts[{index}].prompt", concept["prompt"])
        draft.config["concepts"].append(concept)
        if index == 0:
            set_for_all(reader, facts)
        name_unknown(facts, draft, "ai-toolkit")
    if not datasets:
        draft.config["concepts"] = [{"repeats": 1}]
        set_for_all(reader, entries_of({}, source))
    set_images(draft)


def set_for_all(reader: Reader, facts: Entries) -> None:
    draft = reader.draft
    extension = facts.take("caption_ext")
    ending = str(extension.value) if extension else "txt"
    draft.set("dataset.caption_extension", ending if ending.startswith(".") else f".{ending}", extension)
    apply([Option("caption_dropout_rate", float, 0.0, "dataset.caption_dropout_rate"),
           Option("shuffle_tokens", bool, False, "dataset.shuffle_caption"),
           Option("keep_tokens", int, 0, "dataset.keep_tokens"), Option("buckets", bool, True, "dataset.enable_bucket"),
           Option("random_crop", bool, False, "dataset.random_crop"), Option("flip_x", bool, False, "dataset.flip_aug"),
           Option("token_dropout_rate", float, 0.0, "dataset.caption_tag_dropout_rate"),
           Option("cache_latents_to_disk", bool, False, "dataset.cache_latents")], facts, draft)
    cache = draft.readable(facts.take("cache_latents"), flag)
    if cache and not draft.get("dataset.cache_latents"):
        draft.set("dataset.cache_latents", flag(cache.value), cache)
    entry = facts.take("resolution")
    listed = entry.value if entry and isinstance(entry.value, list) else [entry.value if entry else 512]
    sizes = [side for listed_size in listed for side in sides_of(listed_size)[:1]]
    largest = int(max(sizes, default=512))
    several = len(set(sizes)) > 1
    draft.set("dataset.resolution", largest, entry,
              "every picture at each of those sizes there; here the largest alone" if several else "")
    draft.assign("dataset.max_bucket_reso", max(1024, 2 * largest))
