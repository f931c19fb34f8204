"""The last part of an import: values within their ranges, nothing that contradicts itself, every setting written out.

What has to give way is told; a CONFIG that an import writes is never refused by `Config.from_dict`.
"""

import dataclasses
from copy import deepcopy
from typing import Any

from lib_sdtune.config import Config
from lib_sdtune.methods import registry as methods
from lib_sdtune.settings_import.agreements import AGREEMENTS
from lib_sdtune.settings_import.built import build
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import abridged
from lib_sdtune.settings_import.notes import Notes
from lib_sdtune.settings_import.ranges import within_ranges


def finish(draft: Draft) -> dict[str, Any]:
    """The complete CONFIG; without "name" or "images" where nobody said them."""
    draft.assign("method", draft.method)
    within_ranges(Config, draft.config, "", draft)
    for agree in AGREEMENTS:
        agree(draft)
    complete = build(draft).to_dict()
    for name in methods.names():
        if name != draft.method:
            complete.pop(name)
    note_defaults(draft, complete)
    note_missing(draft, complete)
    return complete


def trial(draft: Draft) -> Config:
    """The `Config` as the draft stands, without a word about what has to give way."""
    copy = dataclasses.replace(draft, config=deepcopy(draft.config), notes=Notes())
    copy.assign("method", draft.method)
    within_ranges(Config, copy.config, "", copy)
    for agree in AGREEMENTS:
        agree(copy)
    return build(copy)


def note_missing(draft: Draft, complete: dict[str, Any]) -> None:
    if not draft.config.get("name"):
        complete.pop("name")
        draft.notes.missing.append(
            '"name": what the run and its file are called; give it before training (--name, or in CONFIG).'
        )
    for index, concept in enumerate(draft.config["concepts"]):
        if concept.get("images") and not is_absolute(str(concept["images"])):
            draft.notes.warnings.append(
                f"{concept['images']} is relative to where the other program was started; here it is "
                "to the folder of CONFIG."
            )
        if not concept.get("images"):
            complete["concepts"][index].pop("images")
            draft.notes.missing.append(
                f'"concepts[{index}].images": the folder of the pictures; give it before training (--images, or in '
                "CONFIG)."
            )


def is_absolute(path: str) -> bool:
    """On any system."""
    return path.startswith(("/", "\\", "~")) or path[1:2] == ":"


def note_defaults(draft: Draft, complete: dict[str, Any]) -> None:
    """What the file does not say and the programs do differently by themselves."""
    ours = Config.from_dict({"name": "name", "method": draft.method, "concepts": [{"images": "pictures"}]}).to_dict()
    for path, name in draft.assumed.items():
        idle = path == "train.max_train_steps" and complete["train"]["max_train_epochs"]
        if (
            not idle
            and path.split(".")[0] in complete
            and path not in draft.origins
            and value_at(complete, path) != value_at(ours, path)
        ):
            draft.notes.defaults.append(f"{name} {abridged(value_at(complete, path))}")


def value_at(config: dict[str, Any], path: str) -> Any:
    group: Any = config
    for part in path.split("."):
        group = group.get(part, {}) if isinstance(group, dict) else {}
    return group
