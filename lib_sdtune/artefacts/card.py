"""The WebUI's card beside a file: NAME.json with what to type and how strong, NAME.preview.png to recognise it by.

Keys as in the WebUI's ui_extra_networks_user_metadata.py; a card that the user has edited keeps what we do not set.
"""

import logging
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from lib_sdtune.families.base import Family
from lib_sdtune.formats import structure
from lib_sdtune.formats.files import atomic, write_json
from lib_sdtune.sections.general import GeneralConfig

OUR_NOTES = re.compile(r"\w+, (?:\d+ steps|step \d+), .*resolution \d+, seed \d+(?:; .*)?")
log = logging.getLogger("sdtune")
UNTRAINED = "step00000000-00.png"  # drawn before the first step, it shows nothing of the file


def write(artefact: Path, activation_text: str, config: GeneralConfig, family: Family, step: int,
          samples: Path) -> None:
    """Write the card, and the newest picture of the folder `samples` as preview."""
    path = artefact.with_suffix(".json")
    card = structure.read(path, dict)
    if card is None:
        card = {}
        put_aside(path)
    write_json(path, card | {
        "description": card.get("description", ""), "sd version": family.sd_version,
        "activation text": activation_text or card.get("activation text", ""),
        "preferred weight": card.get("preferred weight", 1.0), "negative text": card.get("negative text", ""),
        "notes": with_notes(card, f"{config.method}, {step} steps, {config.train.optimizer}, "
                                  f"resolution {config.dataset.resolution}, seed {config.train.seed}")})
    pictures = [path for path in sorted(samples.glob("step*-00.png")) if path.name != UNTRAINED]
    if pictures:
        with atomic(artefact.with_suffix(".preview.png")) as unfinished:
            shutil.copyfile(pictures[-1], unfinished)


def with_notes(card: dict[str, Any], line: str) -> str:
    """What the user noted on a card, with our line below it in place of an earlier one."""
    notes = card.get("notes")
    kept = [old for old in notes.splitlines() if not OUR_NOTES.fullmatch(old)] if isinstance(notes, str) else []
    return "\n".join([*kept, line])


def put_aside(path: Path) -> None:
    """A card that cannot be read stays beside the new one, under the name NAME.json.bak: its words may be the
    user's.
    """
    if path.exists():
        with suppress(OSError):
            path.replace(path.with_name(f"{path.name}.bak"))
            log.warning("%s could not be read, and is now %s.bak.", path, path.name)
