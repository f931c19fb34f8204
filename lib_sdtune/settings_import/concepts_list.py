"""concepts_list.json of diffusers' DreamBooth (ShivamShrirao's) and of sd_dreambooth_extension: one group of pictures
each.
"""

from typing import Any

from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry, fraction, integer
from lib_sdtune.settings_import.sample_prompts import line_of, set_prompts
from lib_sdtune.settings_import.sd_scripts.files import entries_of

FILEWORDS = "[filewords]"
WHAT = {
    "instance_token": "stood in the place of class_token in captions", "class_token": "was replaced in captions",
    "class_negative_prompt": "was the negative prompt of generated class pictures",
    "class_guidance_scale": "was the CFG scale of generated class pictures",
    "class_infer_steps": "were the steps of generated class pictures",
    "save_sample_template": "named a file of prompts for samples"}
USUAL = {"class_guidance_scale": 7.5, "class_infer_steps": 40, "n_save_sample": 1}


def is_concepts(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and all(
        isinstance(concept, dict) and "instance_data_dir" in concept for concept in data)


def set_concepts(draft: Draft, rows: list[Any], source: str) -> None:
    """Set concepts, and the prompts of samples that they name."""
    concepts, prompts = [], []
    for index, row in enumerate(row for row in rows if isinstance(row, dict)):
        facts = entries_of(row, source)
        concepts.append(concept_of(draft, facts, index))
        if prompt := facts.take("save_sample_prompt"):
            negative, seed = facts.take("save_sample_negative_prompt"), facts.take("sample_seed")
            prompts.append(line_of({"prompt": prompt.value, "negative": negative.value if negative else "",
                                    "seed": seed.value if seed else -1}))
        for name, path in (("save_guidance_scale", "sample.cfg_scale"), ("save_infer_steps", "sample.steps")):
            read = fraction if name == "save_guidance_scale" else integer
            entry = draft.readable(facts.take(name), read)
            if entry and index == 0:
                draft.set(path, read(entry.value), entry)
        for name, entry in facts.unused():
            if name in WHAT and not entry.is_unset and entry.value != USUAL.get(name):
                draft.notes.refuse(entry, WHAT[name])
            else:
                draft.notes.off.append(name)
    draft.config["concepts"] = concepts
    if prompts:
        set_prompts(draft, prompts, Entry("save_sample_prompt", prompts[0], source))


def concept_of(draft: Draft, facts: Entries, index: int) -> dict[str, Any]:
    where = f"concepts[{index}]"
    concept: dict[str, Any] = {"repeats": 1}
    for name, key in (("instance_data_dir", "images"), ("class_data_dir", "class_images")):
        if entry := facts.take(name):
            concept[key] = str(entry.value)
            draft.notes.take(entry, f"{where}.{key}", concept[key])
    for name, key in (("instance_prompt", "prompt"), ("class_prompt", "class_prompt")):
        if entry := facts.take(name):
            text = str(entry.value)
            if key == "prompt" or FILEWORDS not in text:
                concept[key] = text
                draft.notes.take(entry, f"{where}.{key}", text)
            else:
                concept[key] = text.replace(FILEWORDS, "").strip(" ,")
                draft.notes.differ(entry, "captions of class pictures come from their files anyway", f"{where}.{key}",
                                   concept[key])
    classes(draft, facts, concept, where)
    return concept


def classes(draft: Draft, facts: Entries, concept: dict[str, Any], where: str) -> None:
    """How many class pictures: a total, or so many for each picture."""
    total, per_picture = (draft.readable(facts.take(name), integer)
                          for name in ("num_class_images", "num_class_images_per"))
    if total and integer(total.value) > 0 and concept.get("class_images"):
        concept["num_class_images"] = integer(total.value)
        draft.notes.take(total, f"{where}.num_class_images", concept["num_class_images"])
    elif per_picture and integer(per_picture.value) > 0:
        draft.notes.differ(per_picture,
                           f"for each picture there: set {where}.num_class_images to it times the pictures")
    elif entry := total or per_picture:
        if concept.pop("class_images", None):
            draft.notes.differ(entry, f"no class pictures are used then, so {where}.class_images is left out")
        concept.pop("class_prompt", None)
