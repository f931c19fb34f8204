"""Which folders of pictures a run reads, so that none is taken away from under it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib_sdtune.config import Config


def folders(config: "Config") -> Iterator[Path]:
    """Those that the settings name, as they are written."""
    for concept in config.concepts:
        yield from (Path(getattr(concept, key)) for key in concept.FOLDERS if getattr(concept, key))
    if config.validation.images:
        yield Path(config.validation.images)


def reads(config: "Config", folder: Path) -> bool:
    """Whether a run reads `folder`, something in it, or what it lies in."""
    wanted = folder.resolve()
    return any(path.is_relative_to(wanted) or wanted.is_relative_to(path)
               for path in (named.resolve() for named in folders(config)))
