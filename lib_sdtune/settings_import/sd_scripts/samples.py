"""Samples while training, in sd-scripts: when, and which."""

from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries
from lib_sdtune.settings_import.sd_scripts.saving import count

STEPS, CFG_SCALE, SIDE = 30, 7.5, 512  # of a sample whose prompt says nothing else (library/train_util.py)


def set_samples(draft: Draft, options: Entries) -> None:
    """Set the section "sample" but for its prompts."""
    for unit in ("epochs", "steps"):
        every, entry = count(draft, options, f"sample_every_n_{unit}")
        draft.set(f"sample.every_n_{unit}", every, entry)
    draft.assign("sample.steps", STEPS)
    draft.assign("sample.cfg_scale", CFG_SCALE)
    draft.assign("sample.width", SIDE)
    draft.assign("sample.height", SIDE)


def set_validation(draft: Draft, options: Entries) -> None:
    """Set validation.every_n_steps, which counts with pictures kept aside alone."""
    every, entry = count(draft, options, "validate_every_n_steps")
    if draft.get("validation.split"):
        draft.set("validation.every_n_steps", every, entry)
    elif entry:
        draft.notes.off.append(entry.key)
