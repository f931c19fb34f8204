"""One row of a table of another program's settings, and the translation of those that need no other."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import READERS, Entries, Entry, is_secret


@dataclass(frozen=True)
class Option:
    """A setting of another program.

    name, kind, default: as there; a default of None means that it is not set. to: the CONFIG key, "" where there is
    none; several are parted by commas. how: in what way it means something else here, or, without `to`, what it did.
    convert(value) gives the value here. group: the function that translates it together with others, "" for `apply`.
    scripts: which of sd-scripts' scripts have it: n network, d DreamBooth, t textual inversion.
    """

    name: str
    kind: type = str
    default: Any = None
    to: str = ""
    how: str = ""
    convert: Callable[[Any], Any] | None = None
    group: str = ""
    scripts: str = "ndt"

    def read(self, value: Any) -> Any:
        """The value as its kind. ValueError where it is none."""
        return READERS[self.kind](value)


def apply(options: Iterable[Option], entries: Entries, draft: Draft) -> None:
    """Translate the rows without a group; what the file does not say gets the other program's default."""
    for option in options:
        if not option.group:
            translate(option, entries.take(option.name), entries.get(option.name), draft)


def translate(option: Option, entry: Entry | None, original: Entry | None, draft: Draft) -> None:
    value = draft.default_of(option.name, option.default)
    if entry is not None:
        try:
            value = option.read(entry.value)
        except (ValueError, TypeError, OverflowError) as error:
            draft.notes.unread(entry, error)
            entry = None
    elif original is not None:
        draft.notes.off.append(original.key)
    if not option.to:
        if entry is not None:
            name_unsupported(option, entry, value, draft)
        return
    if value is None:
        return
    here = option.convert(value) if option.convert else value
    if entry is None:
        draft.default(option.to, here, option.name)
    else:
        draft.set(option.to, here, entry, option.how)


def name_unsupported(option: Option, entry: Entry, value: Any, draft: Draft) -> None:
    """Under "not supported", unless it does nothing as it stands."""
    if is_secret(option.name):
        draft.notes.refuse(entry, "a secret; it is left out")
    elif value == option.default or not value:
        draft.notes.off.append(entry.key)
    else:
        draft.notes.refuse(entry, option.how or "there is no such setting here")


def name_unknown(entries: Entries, draft: Draft, program: str) -> None:
    """What no row and no group has translated."""
    for _, entry in entries.unused():
        if is_secret(entry.key):
            draft.notes.refuse(entry, "a secret; it is left out")
        elif entry.is_unset or entry.value is False:
            draft.notes.off.append(entry.key)
        else:
            draft.notes.refuse(entry, f"{program} has no setting of this name that is known here")
