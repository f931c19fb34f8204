"""Class pictures that an earlier run drew of another prompt, by another checkpoint or in another size, as they say
themselves: they are used, and somebody is told.
"""

import logging
import re
from collections.abc import Callable
from pathlib import Path

from lib_sdtune.config import Config
from lib_sdtune.data.paths import named_path
from lib_sdtune.data.walk import walk
from lib_sdtune.formats import infotext

OURS = re.compile(r"class-\d{5,}\.png")
log = logging.getLogger("sdtune")


def warn_of_others(config: Config, number: int, base: Path, size: tuple[int, int], model: Callable[[], str]) -> None:
    """Say which pictures of a concept were drawn otherwise than they would be now.

    size: (width, height) that they would have; model(): the checkpoint that would draw them, "" where unknown.
    """
    concept = config.concepts[number]
    if not concept.class_images:
        return
    folder = named_path(concept.class_images, base, f"concepts[{number}].class_images")
    pictures = walk(folder, [], config.dataset.caption_extension) if folder.exists() else []
    texts = {picture.path.name: text for picture in pictures if OURS.fullmatch(picture.path.name) and not picture.texts
             if (text := infotext.of_picture(picture.path))}
    if texts:
        warn_of_other_prompts(texts, folder, concept.class_prompt)
        facts = {name: infotext.read(text)[2] for name, text in texts.items()}
        warn_of_other_checkpoints(facts, folder, as_written(model()))
        warn_of_other_sizes(facts, folder, f"{size[0]}x{size[1]}")


def warn_of_other_prompts(texts: dict[str, str], folder: Path, class_prompt: str) -> None:
    prompt = lines(class_prompt)
    others = {name: lines(text)[0] for name, text in texts.items() if lines(text)[:len(prompt)] != prompt}
    if others:
        first, drawn_of = next(iter(others.items()))
        log.warning("%d of the pictures in %s were drawn of %r (%s first), and are trained as %r. Delete them to have "
                    "others drawn, or give the class prompt that they show.", len(others), folder, drawn_of, first,
                    class_prompt)


def warn_of_other_checkpoints(facts: dict[str, dict[str, str]], folder: Path, model: str) -> None:
    others = {name: drawn_by for name, entry in facts.items()
              if model and (drawn_by := as_written(entry.get("Model", ""))) and drawn_by != model}
    if others:
        first, drawn_by = next(iter(others.items()))
        log.warning("%d of the pictures in %s were drawn by the checkpoint %s (%s first), and %s is trained: they do "
                    "not show what it thinks of the class. Delete them to have others drawn, or name another folder.",
                    len(others), folder, drawn_by, first, model)


def warn_of_other_sizes(facts: dict[str, dict[str, str]], folder: Path, size: str) -> None:
    others = {name: entry["Size"] for name, entry in facts.items() if entry.get("Size", size) != size}
    if others:
        first, drawn_in = next(iter(others.items()))
        log.warning("%d of the pictures in %s were drawn in %s (%s first), and would be drawn in %s now. Delete them "
                    "to have others drawn, or name another folder.", len(others), folder, drawn_in, first, size)


def as_written(model: str) -> str:
    """A checkpoint's name as the WebUI writes it into a picture."""
    return model.replace(",", "").replace(":", "")


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]
