"""The `Config` of a draft."""

from copy import deepcopy

from lib_sdtune.config import Config
from lib_sdtune.settings_import.draft import Draft

PLACEHOLDERS = {"name": "name", "images": "pictures"}  # for building alone


def build(draft: Draft) -> Config:
    """The `Config` of the draft, with placeholders where name or pictures are missing."""
    data = deepcopy(draft.config)
    data["name"] = data.get("name") or PLACEHOLDERS["name"]
    for concept in data["concepts"]:
        concept["images"] = concept.get("images") or PLACEHOLDERS["images"]
    return Config.from_dict(data)
