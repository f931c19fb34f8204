"""Class pictures that are missing, drawn by the host from the very model that is about to be trained.

They show what the model thinks of the class before it learns (prior preservation, Ruiz et al. 2022, section 3.3).
Pictures that are there already count first, whoever made them; what is drawn stays when the run is interrupted, and the
rest follows when it is started again.
"""

import logging
from pathlib import Path

from lib_sdtune.config import Config
from lib_sdtune.data.paths import locate, named_path
from lib_sdtune.data.subsets import class_root, is_toml
from lib_sdtune.data.walk import walk
from lib_sdtune.errors import RunError
from lib_sdtune.formats import infotext
from lib_sdtune.formats.paths import refuse_dead_link
from lib_sdtune.host.base import Host, SampleRequest
from lib_sdtune.progress import Progress
from lib_sdtune.randomness import mix
from lib_sdtune.sections.model import Model
from lib_sdtune.training import class_picture_origin, room_to_draw
from lib_sdtune.training.control import Control

log = logging.getLogger("sdtune")


def complete(config: Config, host: Host, control: Control) -> None:
    """`draw` for a run, in one of its processes."""
    if control.world.is_main_process:
        draw(config, host, control.preparing, model_settings=control.model_settings)
    control.world.barrier()


def draw(config: Config, host: Host, progress: Progress, base: Path | None = None,
         model_settings: Model | None = None) -> None:
    """Draw what is missing of every concept's `num_class_images`; call it while the model is borrowed and bare, or not
    borrowed.

    base: the folder that relative paths start from. progress(done, total, text) is called for every picture and may
    raise to stop. model_settings: with the checkpoint that draws, where that is not the one that the config names.
    """
    numbers = range(len(config.concepts))
    for number in numbers:
        class_picture_origin.warn_of_others(config, number, base or Path.cwd(), size(config),
                                     lambda: host.about(model_settings or config.model).get("model", ""))
    # folders may be shared
    missing = dict(picture for number in numbers for picture in missing_pictures(config, number, base or Path.cwd()))
    if not missing:
        return
    progress(0, len(missing), "drawing class pictures")
    paths, done = list(missing), 0
    for done, image in enumerate(room_to_draw.class_pictures(host, list(missing.values())), 1):
        paths[done - 1].parent.mkdir(parents=True, exist_ok=True)
        infotext.save(image, paths[done - 1])
        progress(done, len(missing), "drawing class pictures")
    progress(done, len(missing), "drawing class pictures")  # which raises where somebody asked to stop
    if not done:
        raise RunError("Drawing the class pictures was interrupted before the first one; start the run again.")
    if done < len(missing):
        log.warning("Drawing the class pictures was interrupted: %d of %d are there.", done, len(missing))


def folders(config: Config) -> list[Path]:
    """Those in which class pictures are asked for."""
    return [named_path(concept.class_images, Path.cwd(), f"concepts[{number}].class_images")
            for number, concept in enumerate(config.concepts) if concept.num_class_images and concept.class_images]


def missing_pictures(config: Config, number: int, base: Path) -> list[tuple[Path, SampleRequest]]:
    """(path, `SampleRequest`) of each picture that one concept lacks."""
    concept = config.concepts[number]
    if not concept.num_class_images or not concept.class_images:
        return []
    folder = named_path(concept.class_images, base, f"concepts[{number}].class_images")
    if not is_toml(concept.images):
        class_root(concept, base, locate(concept.images, base, f"concepts[{number}].images"), f"concepts[{number}]")
    refuse_dead_link(folder)
    pictures = walk(folder, []) if folder.exists() else []
    names = {picture.path.name for picture in pictures}
    free = (i for i in range(2 * concept.num_class_images) if name(i) not in names)
    missing = range(concept.num_class_images - len(pictures))
    return [(folder / name(i), request(config, number, i)) for _, i in zip(missing, free, strict=False)]


def name(number: int) -> str:
    """What `class_picture_origin.OURS` knows again."""
    return f"class-{number:05d}.png"


def size(config: Config) -> tuple[int, int]:
    """(width, height) in pixels of a class picture."""
    side = config.dataset.resolution // 8 * 8
    return side, side


def request(config: Config, number: int, picture: int) -> SampleRequest:
    """Chance depends on the run's seed, the concept and the picture's number, so an interrupted set goes on as it
    began.
    """
    (width, height), sample = size(config), config.sample
    seed = mix(config.train.seed, "class picture", number, picture) % 2**32
    return SampleRequest(config.concepts[number].class_prompt, steps=sample.steps, cfg_scale=sample.cfg_scale,
                         seed=seed, width=width, height=height)
