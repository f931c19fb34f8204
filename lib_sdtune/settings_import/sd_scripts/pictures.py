"""The picture folders of sd-scripts, from its options and from the subsets of a dataset TOML, as concepts."""

import math
import re
from pathlib import Path, PurePath
from typing import Any

from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry, integer, number, text

NUMBERED = re.compile(r"^(\d+)_(.+)$", re.DOTALL)
SIZE = re.compile(r"\d+(?:\.\d+)?")
MAX_SIDE = 2**16  # pixels; a larger number is no size


def set_concepts(draft: Draft, options: Entries) -> None:
    """Set concepts: the subsets of a dataset TOML, else the folders of the options."""
    if draft.subsets:
        from_subsets(draft, options)
        for name in ("train_data_dir", "reg_data_dir", "in_json"):
            if entry := options.take(name):
                draft.notes.differ(entry, "is not read where a dataset TOML names the folders")
    else:
        from_options(draft, options)


def from_options(draft: Draft, options: Entries) -> None:
    """One concept: the parent of numbered folders, or the flat folder that belongs to in_json."""
    folder, flat, classes = (options.take(name) for name in ("train_data_dir", "in_json", "reg_data_dir"))
    repeats = options.take("dataset_repeats")
    concept: dict[str, Any] = {"repeats": None}
    set_masks(draft, 0, concept, options)
    if folder:
        concept["images"] = text(folder.value)
        draft.notes.take(folder, "concepts[0].images", concept["images"])
    if flat:
        draft.notes.refuse(flat, "read the captions from that file; put a caption file beside each picture")
        concept["repeats"] = count_of(draft, repeats)
    elif repeats:
        draft.notes.off.append(repeats.key)
    draft.config["concepts"] = [concept]
    if classes:
        set_class(draft, 0, text(classes.value), "", classes)


def count_of(draft: Draft, entry: Entry | None, index: int = 0) -> int:
    """How often each picture of a concept is shown: a whole number from 1."""
    try:
        value = number(entry.value) if entry else 1
    except ValueError as error:
        if entry:
            draft.notes.unread(entry, error)
        return 1
    count = max(1, round(value))
    if entry and count != value:
        draft.notes.differ(entry, f"whole numbers from 1 here: {count}")
    elif entry:
        draft.notes.take(entry, f"concepts[{index}].repeats", count)
    return count


def from_subsets(draft: Draft, options: Entries) -> None:
    """A concept for each folder of the subject; class pictures go to the concepts in their order."""
    concepts: list[dict[str, Any]] = []
    folders: dict[str, Entry] = {}
    classes = []
    for subset in draft.subsets:
        folder = subset.take("image_dir")
        name_subset(draft, subset)
        if is_class := subset.take_switch("is_reg"):
            if masks := subset.take("conditioning_data_dir"):
                draft.notes.refuse(masks, "held masks of class pictures; here each lies beside its picture, as "
                                          "NAME.mask.png")
            classes.append((folder, subset, is_class))
            continue
        images = text(folder.value) if folder else ""
        if folder and images in folders:
            draft.notes.differ(folder, "the same folder again, for another size; it is trained at the first alone")
            continue
        if folder:
            folders[images] = folder
            draft.notes.take(folder, f"concepts[{len(concepts)}].images", images)
        concept: dict[str, Any] = {"images": images} if images else {}
        repeats = subset.take("num_repeats") or options.get("dataset_repeats")
        concept["repeats"] = count_of(draft, repeats, len(concepts))
        if words := subset.take("class_tokens"):
            concept["prompt"] = text(words.value)
            draft.notes.take(words, f"concepts[{len(concepts)}].prompt", concept["prompt"])
        set_masks(draft, len(concepts), concept, subset)
        concepts.append(concept)
    options.used.add("dataset_repeats")
    draft.config["concepts"] = concepts or [{"repeats": 1}]
    for index, (folder, subset, is_class) in enumerate(classes):
        words = subset.take("class_tokens")
        if folder is None:
            continue
        if index < len(concepts):
            draft.notes.take(is_class, f"concepts[{index}].class_images", text(folder.value))
            set_class(draft, index, text(folder.value), text(words.value) if words else "", folder)
            if words:
                draft.notes.take(words, f"concepts[{index}].class_prompt", text(words.value))
        else:
            draft.notes.refuse(folder, "a further folder of class pictures; put the pictures of all into one")


def set_masks(draft: Draft, index: int, concept: dict[str, Any], entries: Entries) -> None:
    """Set the folder of a concept's masks."""
    if entry := entries.take("conditioning_data_dir"):
        concept["conditioning_data_dir"] = text(entry.value)
        draft.notes.take(entry, f"concepts[{index}].conditioning_data_dir", concept["conditioning_data_dir"])


def name_subset(draft: Draft, subset: Entries) -> None:
    """What a subset says that cannot be said of one folder here."""
    for name, what in {
        "metadata_file": "held the captions of the pictures; put a caption file beside each picture",
        "custom_attributes": "was a note", "cache_info": "", "name": "",
    }.items():
        if entry := subset.take(name):
            if what:
                draft.notes.refuse(entry, what)
            else:
                draft.notes.off.append(entry.key)


def set_class(draft: Draft, index: int, folder: str, words: str, entry: Entry) -> None:
    """Set the class pictures of a concept, and what they show, which must not be empty here."""
    concept = draft.config["concepts"][index]
    concept["class_images"] = folder
    concept["class_prompt"] = words or class_words(folder, draft.folder(folder))
    draft.notes.take(entry, f"concepts[{index}].class_images", folder)
    if not words:
        draft.notes.differ(entry, "what the class pictures show must be said here; taken from the folder's name",
                           f"concepts[{index}].class_prompt", concept["class_prompt"])


def class_words(folder: str, path: Path | None) -> str:
    """The words of a folder such as 1_cat, or of the first such folder in it; else the folder's own name.

    path: where it is, if it can be looked at.
    """
    names = []
    if path is not None:
        try:
            names = sorted(child.name for child in path.iterdir() if child.is_dir())
        except (OSError, ValueError):
            names = []
    specific = PurePath(folder.replace("\\", "/")).name
    matches = [match for match in map(NUMBERED.match, [*names, specific]) if match]
    words = matches[0][2] if matches else specific
    return words.replace("_", " ").strip() or "a picture"


def set_images(draft: Draft) -> None:
    """Put the folder that the user gave beside the files in the place of the file's."""
    concepts = draft.config.setdefault("concepts", [{"repeats": None}])
    if not draft.images:
        return
    if len(concepts) == 1:
        concepts[0]["images"] = draft.images
        return
    for concept in concepts:
        name = PurePath(str(concept.get("images", "")).replace("\\", "/")).name
        concept["images"] = str(Path(draft.images, name)) if name else draft.images
    draft.notes.warnings.append(f"The settings name {len(concepts)} folders; they are looked for by their names in "
                                f"{draft.images}.")


def set_resolution(draft: Draft, options: Entries) -> None:
    """Set dataset.resolution."""
    entry = options.take("resolution")
    sides = sides_of(entry.value) if entry else []
    if entry is None or not sides:
        draft.assign("dataset.resolution", 1024 if draft.sdxl else 512)
        draft.notes.warnings.append(f"There is no resolution in the settings; {draft.get('dataset.resolution')} is "
                                    "taken.")
        if entry:
            draft.notes.unread(entry, "no size")
        return
    set_sides(draft, sides, entry)


def set_sides(draft: Draft, sides: list[float], entry: Entry) -> None:
    """Set dataset.resolution from [side] or [width, height]."""
    side, how = round(math.sqrt(sides[0] * sides[-1])), ""
    if sides[0] != sides[-1]:
        how = "one number here: the side of a square of the same area"
    draft.set("dataset.resolution", side, entry, how)


def side_of(value: Any) -> int:
    """One side, a whole number of pixels. ValueError where it is none."""
    side = integer(value)
    if not 1 <= side <= MAX_SIDE:
        raise ValueError("no size")
    return side


def sides_of(value: Any) -> list[float]:
    """[side] or [width, height] from "512,768", "512", 512 or [512, 768]; [] where it is no size."""
    sides = [float(side) for side in SIZE.findall(str(value))][:2]
    return sides if all(1 <= side <= MAX_SIDE for side in sides) else []


def set_cache(draft: Draft, options: Entries) -> None:
    """Set dataset.cache_latents; sd-scripts' cache holds one encoding of each picture."""
    on = [options.take_switch(name) for name in ("cache_latents", "cache_latents_to_disk")]
    entry = on[0] or on[1]
    for name in ("cache_latents", "cache_latents_to_disk"):
        if (other := options.get(name)) and other not in on:
            draft.notes.off.append(other.key)
    if entry:
        for cache_entry in filter(None, on):
            draft.set("dataset.cache_latents", True, cache_entry)
        draft.set("dataset.latent_sampling", "once", entry, "the cache there holds one encoding of each picture")
        if crop := options.take_switch("random_crop"):
            draft.notes.warnings.append(f"{crop} and {entry} contradict each other in sd-scripts; here both work.")
    else:
        caches = draft.default_of("cache_latents", False)
        draft.default("dataset.cache_latents", caches, "cache_latents")
        draft.assign("dataset.latent_sampling", "once" if caches else "random")


def set_captions(draft: Draft, options: Entries) -> None:
    """Set dataset.caption_extension and max_token_length."""
    extension = options.take("caption_extension") or options.take("caption_extention")
    if extension:
        ending = text(extension.value)
        draft.set("dataset.caption_extension", ending if ending.startswith(".") else f".{ending}", extension)
    else:
        ending = draft.default_of("caption_extension", ".caption")
        draft.default("dataset.caption_extension", ending, "caption_extension")
    length = options.take("max_token_length")
    if length is None:
        draft.default("dataset.max_token_length", 75, "max_token_length")
        return
    try:
        tokens = integer(length.value)
    except ValueError as error:
        draft.notes.unread(length, error)
        draft.assign("dataset.max_token_length", 75)
        return
    chunks = max(75, tokens // 75 * 75)
    draft.set("dataset.max_token_length", chunks, length, "" if chunks == tokens else "whole pieces of 75 are read")


