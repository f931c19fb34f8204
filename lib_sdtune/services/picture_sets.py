"""Pictures that were uploaded or dropped onto the tab: each time a set of its own, which can be used again."""

import secrets
import shutil
from pathlib import Path
from typing import Any

from lib_sdtune.errors import NameTaken, NotFound, UserError
from lib_sdtune.formats.files import disk_errors, replace_when_free
from lib_sdtune.formats.names import check_name
from lib_sdtune.services.context import ServiceContext
from lib_sdtune.services.fields import refuse_unknown, text

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
        folders = [path for path in children if is_set(path)]
        folders = sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)[:MAX_SETS]
        sets = [{"name": path.name, "folder": str(path), "pictures": count(path)} for path in folders]
        return {"sets": [entry for entry in sets if entry["pictures"]]}

    def folder_of(self, name: str) -> Path:
        """The folder of a set. NotFound; it is only compared, because the name may hold whatever somebody typed."""
        children = self.folder.iterdir() if self.folder.is_dir() else ()
        folder = next((path for path in children if path.name == name and is_set(path)), None)
        if folder is None:
            raise NotFound(f"There are no uploaded pictures called {name!r}.")
        return folder

    def rename(self, name: str, data: dict) -> dict[str, str]:
        """Call a set {"to"}: {"name", "folder"}. NotFound, NameTaken; RunError where the disk refuses."""
        refuse_unknown(data, "to")
        folder, new = self.folder_of(name), check_name(text(data, "to").strip(), "name of the set")
        target = folder.with_name(new)
        if target.exists() and not target.samefile(folder):
            raise NameTaken(f"There are uploaded pictures called {new!r} already; choose another name.")
        with disk_errors(folder):
            replace_when_free(folder, target)
        return {"name": new, "folder": str(target)}

    def delete(self, name: str) -> dict[str, str]:
        """Remove a set. NotFound; UserError for a folder that is none; RunError where the disk refuses."""
        folder = self.folder_of(name)
        with disk_errors(folder):
            if any(path.is_symlink() or not path.is_file() for path in folder.iterdir()):
                raise UserError(f"{folder} holds more than uploaded files, so it is not deleted from here; delete it "
                                "in your file manager.")
            hidden = folder.with_name(f".{secrets.token_hex(4)}.tmp")  # so that no half of it is ever listed
            replace_when_free(folder, hidden)
            shutil.rmtree(hidden)
        return {"name": name}


def is_set(path: Path) -> bool:
    """Whether this is a folder that an upload has made; hidden ones are unfinished."""
    return path.is_dir() and not path.is_symlink() and not path.name.startswith(".")


def count(folder: Path) -> int:
    """Picture files directly in a folder, masks apart."""
    from lib_sdtune.data.kinds import PLUGGED_IN, SUFFIXES
    from lib_sdtune.data.masks import is_mask

    endings = {*SUFFIXES, *PLUGGED_IN}
    return sum(path.suffix.lower() in endings and not is_mask(path.name) for path in folder.iterdir())
