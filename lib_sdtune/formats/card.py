"""The WebUI's card beside a file: NAME.json with what to type and how strong, NAME.preview.png to recognise it by.

Keys as in the WebUI's ui_extra_networks_user_metadata.py; a card that the user has edited keeps what we do not set.
"""

import shutil

from lib_sdtune.formats.files import atomic, read_json, write_json


def write(artefact, config, family, step, samples):
    """Write the card, and the newest picture of the folder `samples` as preview."""
    path = artefact.path.with_suffix(".json")
    try:
        card = read_json(path)
    except (OSError, ValueError):
        card = {}
    write_json(path, card | {
        "description": card.get("description", ""), "sd version": family.sd_version,
        "activation text": artefact.activation_text,
        "preferred weight": card.get("preferred weight", 1.0), "negative text": card.get("negative text", ""),
        "notes": f"{config.method}, {step} steps, {config.train.optimizer}, resolution {config.dataset.resolution}, "
                 f"seed {config.train.seed}"})
    pictures = sorted(samples.glob("step*-00.png")) if samples.exists() else []
    if pictures:
        with atomic(artefact.path.with_suffix(".preview.png")) as unfinished:
            shutil.copyfile(pictures[-1], unfinished)
