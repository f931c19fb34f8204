"""Class pictures that are missing, drawn by the host from the very model that is about to be trained.

They show what the model thinks of the class before it learns (prior preservation, Ruiz et al. 2022, section 3.3).
Pictures that are there already count first, whoever made them; what is drawn stays when the run is interrupted, and the
rest follows when it is started again.
"""

import logging
import re
from contextlib import suppress
from pathlib import Path

from PIL import Image

from lib_sdtune.config import Config
from lib_sdtune.data.cache import Progress
from lib_sdtune.data.paths import locate, named_path
from lib_sdtune.data.subsets import class_root, is_toml
from lib_sdtune.data.walk import walk
from lib_sdtune.errors import RunError
from lib_sdtune.formats import infotext
from lib_sdtune.formats.paths import refuse_dead_link
from lib_sdtune.host.base import Host, SampleRequest
from lib_sdtune.randomness import mix
from lib_sdtune.training.control import Control

OURS = re.compile(r"class-\d{5,}\.png")  # see `name`
log = logging.getLogger("sdtune")


def complete(config: Config, host: Host, control: Control) -> None:
    """`draw` for a run, in one of its processes."""
    if control.world.is_main_process:
        draw(config, host, control.preparing)
    control.world.barrier()


def draw(config: Config, host: Host, progress: Progress, base: Path | None = None) -> None:
    """Draw what is missing of every concept's `num_class_images`; call it while the model is borrowed and bare, or not
    borrowed.

    base: the folder that relative paths start from. progress(done, total, text) is called for every picture and may
    raise to stop.
    """
    numbers = range(len(config.concepts))
    for number in numbers:
        warn_of_other_prompts(config, number, base or Path.cwd())
    # folders may be shared
    missing = dict(picture for number in numbers for picture in missing_pictures(config, number, base or Path.cwd()))
    if not missing:
        return
    progress(0, len(missing), "drawing class pictures")
    paths, done = list(missing), 0
    for done, image in enumerate(host.generate(list(missing.values())), 1):
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


def warn_of_other_prompts(config: Config, number: int, base: Path) -> None:
    """Say which pictures were drawn earlier of another class prompt than the one that they are now trained under."""
    concept = config.concepts[number]
    if not concept.class_images:
        return
    folder, others = named_path(concept.class_images, base, f"concepts[{number}].class_images"), {}
    prompt = lines(concept.class_prompt)
    for picture in walk(folder, [], config.dataset.caption_extension) if folder.exists() else []:
        drawn = infotext_of(picture.path) if OURS.fullmatch(picture.path.name) and not picture.texts else ""
        if drawn and lines(drawn)[:len(prompt)] != prompt:
            others[picture.path.name] = lines(drawn)[0]
    if others:
        first, drawn_of = next(iter(others.items()))
        log.warning("%d of the pictures in %s were drawn of %r (%s first), and are trained as %r. Delete them to have "
                    "others drawn, or give the class prompt that they show.", len(others), folder, drawn_of, first,
                    concept.class_prompt)


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def infotext_of(path: Path) -> str:
    """What a picture of ours says of itself, its prompt first; "" where it cannot be read, which the scan tells."""
    with suppress(OSError, ValueError, SyntaxError), Image.open(path) as image:
        return str(image.info.get("parameters", "")).strip()
    return ""


def name(number: int) -> str:
    return f"class-{number:05d}.png"


def request(config: Config, number: int, picture: int) -> SampleRequest:
    """Chance depends on the run's seed, the concept and the picture's number, so an interrupted set goes on as it
    began.
    """
    side, sample = config.dataset.resolution // 8 * 8, config.sample
    return SampleRequest(config.concepts[number].class_prompt, steps=sample.steps, cfg_scale=sample.cfg_scale,
                         seed=mix(config.train.seed, "class picture", number, picture) % 2**32, width=side, height=side)
