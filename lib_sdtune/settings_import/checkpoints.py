"""The checkpoint that another program's settings name: a file means the same here, all else is no file."""

import re

from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry, text

FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".sft", ".bin")
HUB = re.compile(r"^[\w.-]+/[\w.-]+$")


def set_checkpoint(draft: Draft, entry: Entry, is_name: bool = False) -> None:
    """Set model.checkpoint; `is_name`: the file says a name as the WebUI lists it."""
    value = text(entry.value)
    if value.lower().startswith(("http://", "https://")):
        draft.notes.differ(entry, "an address is no checkpoint; the checkpoint that is loaded is trained",
                           "model.checkpoint", "")
    elif is_name or value.lower().endswith(FILES):
        draft.set("model.checkpoint", value, entry)
    elif HUB.match(value) and not value.startswith("."):
        draft.notes.differ(entry, "a model on the Hub, no checkpoint file; load it in the WebUI or give its file, else "
                                  "the checkpoint that is loaded is trained", "model.checkpoint", "")
    else:
        draft.notes.differ(entry, "a folder of a diffusers model, no checkpoint file; the checkpoint that is loaded is "
                                  "trained", "model.checkpoint", "")
