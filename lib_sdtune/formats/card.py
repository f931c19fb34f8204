"""The WebUI's card beside a file: NAME.json with what to type and how strong, NAME.preview.png to recognise it by.

Keys as in the WebUI's ui_extra_networks_user_metadata.py; a card that the user has edited keeps what we do not set.
"""

import logging
import shutil
from contextlib import suppress
from pathlib import Path

from lib_sdtune.config import Config
from lib_sdtune.families.base import Family
from lib_sdtune.formats import structure
from lib_sdtune.formats.files import atomic, write_json

log = logging.getLogger("sdtune")
UNTRAINED = "step00000000-00.png"  # drawn before the first step, it shows nothing of the file


def write(artefact: Path, activation_text: str, config: Config, family: Family, step: int, samples: Path) -> None:
    """Write the card, and the newest picture of the folder `samples` as preview."""
    path = artefact.with_suffix(".json")
    card = structure.read(path, dict)
    if card is None:
        card = {}
        put_aside(path)
    write_json(path, card | {
        "description": card.get("description", ""), "sd version": family.sd_version,
        "activation text": activation_text,
        "preferred weight": card.get("preferred weight", 1.0), "negative text": card.get("negative text", ""),
        "notes": f"{config.method}, {step} steps, {config.train.optimizer}, resolution {config.dataset.resolution}, "
                 f"seed {config.train.seed}"})
    pictures = [path for path in sorted(samples.glob("step*-00.png")) if path.name != UNTRAINED]
    if pictures:
        with atomic(artefact.with_suffix(".preview.png")) as unfinished:
            shutil.copyfile(pictures[-1], unfinished)


def put_aside(path: Path) -> None:
    """A card that cannot be read stays beside the new one, under the name NAME.json.bak: its words may be the
    user's.
    """
    if path.exists():
        with suppress(OSError):
            path.replace(path.with_name(f"{path.name}.bak"))
            log.warning("%s could not be read, and is now %s.bak.", path, path.name)
