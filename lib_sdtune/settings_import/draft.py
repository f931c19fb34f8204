"""The CONFIG while it is being composed from another program's settings."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib_sdtune.formats.paths import path_of
from lib_sdtune.settings_import.entries import Entries, Entry
from lib_sdtune.settings_import.notes import Notes


@dataclass
class Draft:
    """`config`: nested, as CONFIG. `program`: whose settings they are.

    origins: the entry behind each path of the config. assumed: path -> the other program's setting, which its file
    does not mention.

    defaults: sd-scripts' option -> what the program has where its file does not mention it, if that is not sd-scripts'
    own default.

    options: sd-scripts' own names, not yet translated; subsets: its picture folders, merged with what they inherit.
    sdxl: whether the file says that the model is SDXL; None where it says nothing. total: steps of the run, where
    known. images, name: what the user gave beside the files. base: the folder that the files lie in; None where
    they lie nowhere here.
    """

    program: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Entry] = field(default_factory=dict)
    assumed: dict[str, str] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    defaults: dict[str, Any] = field(default_factory=dict)
    options: Entries = field(default_factory=Entries)
    subsets: list[Entries] = field(default_factory=list)
    script: str = ""
    sdxl: bool | None = None
    images: str = ""
    name: str = ""
    base: Path | None = None

    @property
    def method(self) -> str:
        return self.config.get("method", "lora")

    def folder(self, named: str) -> Path | None:
        """The folder on this machine that the settings name, if it may be looked at: below `images`, or any where the
        files lie here themselves.
        """
        if self.base is not None:
            return path_of(named, self.base)
        path = Path(os.path.abspath(named))
        return path if self.images and path.is_relative_to(self.images) else None

    def readable(self, entry: Entry | None, read: Callable[[Any], Any]) -> Entry | None:
        """The entry; None where there is none, or `read` of its value raises ValueError, which is told: then the
        default stands.
        """
        try:
            if entry:
                read(entry.value)
        except ValueError as error:
            if entry:
                self.notes.unread(entry, error)
            return None
        return entry

    def get(self, path: str, default: Any = None) -> Any:
        """The value at "train.batch_size", say."""
        group: Any = self.config
        for part in path.split("."):
            if not isinstance(group, dict) or part not in group:
                return default
            group = group[part]
        return group

    def assign(self, path: str, value: Any) -> None:
        """Set a value without a word about it."""
        *groups, last = path.split(".")
        group = self.config
        for part in groups:
            group = group.setdefault(part, {})
        group[last] = value

    def set(self, path: str, value: Any, entry: Entry | None = None, how: str = "") -> None:
        """Set a value that stands in the file; `how` says in what way it means something else there."""
        self.assign(path, value)
        if entry is None:
            return
        self.origins[path] = entry
        if how:
            self.notes.differ(entry, how, path, value)
        else:
            self.notes.take(entry, path, value)

    def default_of(self, option: str, usual: Any) -> Any:
        """What an option of sd-scripts is where the file does not mention it; `usual`: sd-scripts' own default."""
        return self.defaults.get(option, usual)

    def default(self, path: str, value: Any, name: str) -> None:
        """Set what the other program does where its file says nothing; `name` is the setting there."""
        self.assign(path, value)
        self.assumed[path] = name
