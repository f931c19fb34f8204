"""Whether a resumed run still meets what stands beside its pictures: the VAE, the embeddings that captions name, the
pictures that are measured, and where the folders are.

Another VAE would go on with other latents. The rest changes what is read or measured from here on, which is told.
"""

import logging
from dataclasses import dataclass
from typing import Any

from lib_sdtune.data.caption_checks import embeddings_in_captions
from lib_sdtune.data.problem import printable
from lib_sdtune.errors import UserError
from lib_sdtune.formats import structure
from lib_sdtune.training import relocated_folders, resume_checks
from lib_sdtune.training.encoder_keys import fingerprint
from lib_sdtune.training.training_data import TrainingData

log = logging.getLogger("sdtune")
STRUCTURE = {"vae": {"key": str, "name": str}, "embeddings": dict, "validation": (None, str), "folders": dict}


@dataclass(frozen=True)
class Inputs:
    """What a state keeps of them, as JSON.

    vae: {"key": of its values, "name": of its file, "" where nobody knows}. embeddings: name -> key of its values.
    validation: of the pictures and captions in `validation.images`, None without. folders: setting -> path.
    """

    vae: dict[str, str]
    embeddings: dict[str, str]
    validation: str | None
    folders: dict[str, str]


def inputs_of(training_data: TrainingData) -> Inputs:
    config, model = training_data.config, training_data.model
    named = embeddings_in_captions(training_data.scan, config, model.embeddings, model.tokenizer)
    return Inputs(
        {"key": training_data.cache.encoder_key, "name": model.vae_name},
        {name: fingerprint([model.embeddings[name]], [name]) for name in named},
        resume_checks.validation_key(*training_data.validation_pictures()) if config.validation.images else None,
        relocated_folders.folders(config.to_dict()))


def compare(before: Any, now: Inputs) -> None:
    """Say what is other than when the run began. before: from a state, None in those of earlier versions.

    UserError for another VAE, as far as the names of both are known.
    """
    if not structure.fits(before, STRUCTURE):
        return
    refuse_other_vae(before["vae"], now.vae)
    names = sorted(name for name in {*before["embeddings"], *now.embeddings}
                   if before["embeddings"].get(name) != now.embeddings.get(name))
    if names:
        log.warning("Embeddings that captions name are others than when the run began: %s. From here on captions are "
                    "read with those that are there now; put the old files back to go on as before.",
                    ", ".join(map(printable, names)))
    if before["validation"] != now.validation:
        log.warning('The pictures of "validation.images", or their captions, are others than when the run began, so '
                    "what is measured from here on cannot be compared with what was measured before, and a run that "
                    "ends by itself may end elsewhere. Put the old ones back to go on as before.")
    for key, path in now.folders.items():
        if before["folders"].get(key, path) != path:
            log.info('"%s" was %s when the run began and is %s now; the pictures are the same.', key,
                     before["folders"][key], path)


def refuse_other_vae(before: dict[str, str], now: dict[str, str]) -> None:
    """UserError where the VAE is another file; a warning where its values are others, and nobody knows why."""
    if before["key"] == now["key"]:
        return
    if before["name"] and now["name"] and before["name"] != now["name"]:
        raise UserError(
            f"The run was begun with another VAE ({before['name']}) than the one that is there now ({now['name']}), so "
            "it cannot be resumed. Choose the first one again (in the WebUI: Settings > VAE > SD VAE), or start under "
            "another name."
        )
    log.warning("The VAE has other values, or another number format, than when the run began, so pictures are learned "
                "in slightly or wholly other colours from here on. Choose the VAE that it was begun with (in the "
                "WebUI: Settings > VAE > SD VAE), unless it is the same one.")
