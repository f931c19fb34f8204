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
        children = self.folder.iterdir() if self.folder.is_dir() else ()
        folders = [path for path in children if path.is_dir() and not path.name.startswith(".")]  # hidden: unfinished
        folders = sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)[:MAX_SETS]
        sets = [{"name": path.name, "folder": str(path), "pictures": count(path)} for path in folders]
        return {"sets": [entry for entry in sets if entry["pictures"]]}


def count(folder: Path) -> int:
    """Picture files directly in a folder, masks apart."""
    from lib_sdtune.data.kinds import PLUGGED_IN, SUFFIXES
    from lib_sdtune.data.masks import is_mask

    endings = {*SUFFIXES, *PLUGGED_IN}
    return sum(path.suffix.lower() in endings and not is_mask(path.name) for path in folder.iterdir())
