"""How many steps a run of the draft would take, where its pictures are there to be counted."""

from pathlib import Path

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import.draft import Draft


def total_steps(draft: Draft) -> int | None:
    """Steps of the whole run; None where they depend on pictures that are not there.

    Works on what the draft has so far: its concepts, its sizes and its batch.
    """
    epochs, steps = draft.get("train.max_train_epochs", 0), draft.get("train.max_train_steps", 1500)
    if not epochs:
        return steps or None
    steps_of_epoch = steps_per_epoch(draft)
    return None if steps_of_epoch is None else epochs * steps_of_epoch


def steps_per_epoch(draft: Draft) -> int | None:
    """Steps of one epoch; None where a folder of pictures is not there."""
    folders = [str(concept.get(key) or "") for concept in draft.config["concepts"] for key in ("images", "class_images")
               if key == "images" or concept.get(key)]
    paths = [draft.folder(folder) if folder else None for folder in folders]
    if not all(path and path.is_dir() for path in paths):
        return None
    from lib_sdtune.data.loader import Dataset
    from lib_sdtune.data.scan import scan
    from lib_sdtune.settings_import.finish import trial

    try:
        config = trial(draft)
        pictures = scan(config.concepts, config.dataset, config.loss, draft.base or Path())
        return Dataset(pictures, config).steps_per_epoch
    except UserError:
        return None
