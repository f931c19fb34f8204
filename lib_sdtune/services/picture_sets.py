"""Pictures that were uploaded or dropped onto the tab: each time a set of its own, which can be used again."""

from pathlib import Path
from typing import Any

from lib_sdtune.services.context import ServiceContext

MAX_SETS = 100  # sets, the latest


class PictureSets:
    def __init__(self, context: ServiceContext) -> None:
        self.context = context

    @property
    def folder(self) -> Path:
        return self.context.host.folder("sdtune") / "pictures"

    def list(self) -> dict[str, Any]:
        """{"sets": [{"name", "folder", "pictures"}]}, the latest first; pictures: how many there are."""
        folders = [path for path in self.folder.iterdir() if path.is_dir()] if self.folder.is_dir() else []
        folders = sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)[:MAX_SETS]
        sets = [{"name": path.name, "folder": str(path), "pictures": count(path)} for path in folders]
        return {"sets": [entry for entry in sets if entry["pictures"]]}


def count(folder: Path) -> int:
    """Picture files directly in a folder, masks apart."""
    from lib_sdtune.data.kinds import SUFFIXES
    from lib_sdtune.data.masks import is_mask

    return sum(path.suffix.lower() in SUFFIXES and not is_mask(path.name) for path in folder.iterdir())
