"""Files in a host's folders by whose they are: what a run of a name saves, what lies beside a file, what shadows it."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from lib_sdtune.artefacts import embedding_picture
from lib_sdtune.errors import UserError
from lib_sdtune.formats.kinds import ArtefactKind
from lib_sdtune.formats.names import folded

SIDECARS = (".json", ".yaml", ".txt", *(f".preview.{ending}" for ending in ("png", "jpg", "jpeg", "webp", "gif")))
"""Endings of what the WebUI keeps beside a model file: card, config, description, picture."""


def run_pattern(name: str) -> re.Pattern:
    """The stems of a run's files: NAME, NAME-000002 for an epoch, NAME-step00000500 for a step."""
    return re.compile(rf"{re.escape(name)}(-\d{{6}}|-step\d{{8}})?")


def of_run(folders: Iterable[Path], kind: ArtefactKind, name: str) -> list[Path]:
    """Every file in and below `folders` that a run of that name would take for its own, also where it is spelled with
    other capitals or accents: many disks have one place for all of these, and the tokenizer makes no difference either.
    """
    pattern = run_pattern(folded(name))
    paths = {path.resolve(): path for folder in folders for path in walk(folder)
             if pattern.fullmatch(folded(path.stem))
             and (path.suffix.lower() in kind.endings or path.suffix.lower() in kind.pictures and carries(path))}
    return sorted(paths.values())


def walk(folder: Path) -> Iterable[Path]:
    """Every file below, also behind links, each folder once."""
    visited: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(root, name)) not in visited]
        visited.update(os.path.realpath(os.path.join(root, name)) for name in folders)
        yield from (Path(root) / name for name in names)


def carries(picture: Path) -> bool:
    """Whether a picture has an embedding in it."""
    try:
        embedding_picture.read(picture)
    except UserError:
        return False
    return True


def sidecars(path: Path) -> list[Path]:
    """What lies beside a model file and belongs to it."""
    return [beside for ending in SIDECARS if (beside := path.with_suffix(ending)).exists()]


def remove(path: Path, kind: ArtefactKind) -> None:
    """Remove a file, and what belongs to it unless another file of that name is there that it could belong to."""
    path.unlink(missing_ok=True)
    if not any(path.with_suffix(ending).exists() for ending in kind.endings):
        for beside in sidecars(path):
            beside.unlink(missing_ok=True)
