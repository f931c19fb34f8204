"""What every dialect asks of a file whose settings are its own: values, switches, numbers and the name, read in one
way.
"""

from typing import Any

from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry, flag, fraction, integer, number
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.sd_scripts.saving import clean


class Reader:
    """One file: `settings` holds every key, those of groups as "unet.train". What cannot be read is told, and the
    default stands.
    """

    def __init__(self, settings: Entries, document: Document, draft: Draft, files: Files) -> None:
        self.settings, self.document, self.draft, self.files = settings, document, draft, files

    def value(self, name: str, default: Any = None) -> Any:
        """As it stands in the file."""
        entry = self.settings.take(name)
        return entry.value if entry else default

    def is_on(self, name: str, default: bool = False) -> bool:
        """A switch; the default for what is neither true nor false."""
        try:
            return flag(self.value(name, default))
        except ValueError:
            return default

    def number(self, name: str, default: float) -> float:
        entry = self.settings.take(name)
        try:
            return number(entry.value) if entry else default
        except ValueError as error:
            if entry:
                self.draft.notes.unread(entry, error)
            return default

    def integer(self, entry: Entry | None, default: int) -> int:
        try:
            return integer(entry.value) if entry else default
        except ValueError as error:
            if entry:
                self.draft.notes.unread(entry, error)
            return default

    def fraction(self, entry: Entry | None) -> float | None:
        """A number; None where there is none or none that can be read."""
        try:
            return fraction(entry.value) if entry else None
        except ValueError as error:
            if entry:
                self.draft.notes.unread(entry, error)
            return None

    def set_name(self, entry: Entry | None, how: str = "") -> None:
        """Set the name: what the user gave, else the file's, made fit for a file name, which `how` says."""
        if self.draft.name:
            self.draft.config["name"] = self.draft.name
        elif entry and (name := clean(str(entry.value))):
            self.draft.set("name", name, entry, how if name != str(entry.value) else "")
