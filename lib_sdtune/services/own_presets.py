"""Presets that a person saves: settings under a name, one JSON file each, checked as a CONFIG is.

They have the shape of the built-in ones (`lib_sdtune.presets`), so that a file can go from one machine to another.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from lib_sdtune.errors import NameTaken, NotFound, UserError
from lib_sdtune.formats import structure
from lib_sdtune.formats.files import replace_when_free, write_json
from lib_sdtune.formats.names import check_name, same_name
from lib_sdtune.services.fields import flag, group, refuse_unknown, text

log = logging.getLogger("sdtune")

MAX_PRESETS = 500
OF_ONE_RUN = ("name", "concepts", "overwrite")  # never in a preset
PLACEHOLDER = {"name": "preset", "concepts": [{"images": "pictures"}]}


class OwnPresets:
    """In the folder `presets` beside the runs, NAME.json. sdtune_folder: says where these are, when first asked."""

    def __init__(self, sdtune_folder: Callable[[], Path]) -> None:
        self.sdtune_folder, self.lock = sdtune_folder, threading.Lock()
        self.told: set[str] = set()  # damaged files that the log has named

    @property
    def folder(self) -> Path:
        return self.sdtune_folder() / "presets"

    def names(self) -> list[str]:
        return sorted((path.stem for path in self.folder.glob("*.json")), key=str.casefold)[:MAX_PRESETS]

    def list(self) -> dict[str, Any]:
        """{"presets": [{"name", "settings"}]}, those that can be read; the log names the others once."""
        entries = [(name, self.read(name)) for name in self.names()]
        damaged = {name for name, settings in entries if settings is None}
        for name in sorted(damaged - self.told):
            log.warning("%s", self.damaged(name))
        self.told = damaged
        return {"presets": [{"name": name, "settings": settings} for name, settings in entries if settings is not None]}

    def load(self, name: str) -> dict[str, Any]:
        """{"title", "for", "family", "settings"} of one, as its file has it. NotFound; UserError for a damaged file."""
        if name not in self.names():
            raise NotFound(f"There is no preset called {name!r} here.")
        settings = self.read(name)
        if settings is None:
            raise UserError(self.damaged(name))
        return file_of(name, settings)

    def damaged(self, name: str) -> str:
        path = self.path_of(name)
        return f'The preset {path} is damaged: it has no "settings". Delete it, or save it anew.'

    def read(self, name: str) -> dict[str, Any] | None:
        """The settings of one; None where its file is damaged."""
        preset = structure.read(self.path_of(name), {"settings": dict})
        return preset["settings"] if preset else None

    def save(self, data: dict) -> dict[str, Any]:
        """Keep {"name", "settings"}; what belongs to one run (name, pictures) is left out. NameTaken without
        "overwrite". UserError where the settings are no CONFIG.
        """
        refuse_unknown(data, "name", "settings", "overwrite")
        name, settings = name_of(data, "name"), checked(group(data, "settings"))
        with self.lock:
            there = self.called(name)
            if there and not flag(data, "overwrite"):
                self.refuse_taken(there)
            if len(self.names()) >= MAX_PRESETS:
                raise UserError(f"There are {MAX_PRESETS} presets; delete some first.")
            self.folder.mkdir(parents=True, exist_ok=True)
            if there and there != name:
                replace_when_free(self.path_of(there), self.path_of(name))
            write_json(self.path_of(name), file_of(name, settings))
        return {"name": name, "settings": settings}

    def called(self, name: str) -> str:
        """The preset of that name or of one that many disks do not tell from it, "" if there is none."""
        names = self.names()
        return name if name in names else next((there for there in names if same_name(there, name)), "")

    def refuse_taken(self, name: str) -> NoReturn:
        raise NameTaken(f"There is a preset called {name!r} already; choose another name, or replace it "
                        '("overwrite": true).')

    def path_of(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def rename(self, name: str, data: dict) -> dict[str, Any]:
        """Call it {"to"}. NotFound, NameTaken."""
        refuse_unknown(data, "to")
        new = name_of(data, "to")
        with self.lock:
            settings = self.load(name)["settings"]
            there = next((there for there in self.names() if there != name and same_name(there, new)), "")
            if there:
                raise NameTaken(f"There is a preset called {there!r} already; choose another name, or delete that one "
                                "first.")
            if new != name:  # by one step of the disk's: to many of them "faces" and "Faces" are one file
                replace_when_free(self.path_of(name), self.path_of(new))
                write_json(self.path_of(new), structure.read(self.path_of(new), dict) | {"title": new})
        return {"name": new, "settings": settings}

    def delete(self, name: str) -> dict[str, Any]:
        """Take it away. NotFound."""
        with self.lock:
            if name not in self.names():
                raise NotFound(f"There is no preset called {name!r} here.")
            self.path_of(name).unlink(missing_ok=True)
        return {"name": name}


def name_of(data: dict, key: str) -> str:
    """A name that can be a file's. UserError."""
    name = text(data, key).strip()
    if not name:
        raise UserError('The preset has no name; give it one, such as "my characters".')
    return check_name(name, "name of the preset")


def file_of(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"title": name, "for": "", "family": "", "settings": settings}


def checked(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without what belongs to one run. UserError where they are no settings of a run."""
    from lib_sdtune.config import Config
    from lib_sdtune.formats.plain_data import check_bounds

    check_bounds(settings, "settings")
    settings = {key: value for key, value in settings.items() if key not in OF_ONE_RUN}
    Config.from_dict(PLACEHOLDER | settings)
    return settings
