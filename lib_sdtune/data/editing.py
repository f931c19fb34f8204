"""The captions of a folder while they are edited: nothing is written before `save`, and every change can be undone.

A file that was changed by somebody else in the meantime is not overwritten, and no caption is written for a picture
that is gone; the text before the first save of a day stays beside it as .bak.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lib_sdtune.data import captions, tags, text
from lib_sdtune.data.paths import locate
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.data.walk import PictureFile, walk
from lib_sdtune.errors import UserError
from lib_sdtune.formats.files import write_text

DAY = 86400  # seconds
OFTEN = 0.9  # a tag in this share of the captions says what they have in common
Edit = Callable[[str], str]  # caption -> caption


@dataclass
class Entry:
    """One picture and its caption. `file` is where the caption is or will be; `further`: other lines, left alone."""

    picture: Path
    file: Path
    loaded: str | None  # the file's whole text when it was read, None without a file
    caption: str
    original: str
    further: str = ""


class Captions:
    """relative path of a picture -> caption, for all pictures of a folder."""

    def __init__(self, folder: Path | str, extension: str = ".txt"):
        self.problems: list[Problem] = []
        self.root = locate(str(folder), Path.cwd(), "images")
        files = walk(self.root, self.problems, extension)
        self.entries = {printable(file.relative): entry(file, extension) for file in files}
        if not self.entries:
            raise UserError(f"{printable(self.root)} holds no pictures, so there are no captions to edit.")
        self._undo: list[dict[str, str]] = []

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, name: str) -> str:
        return self.entries[name].caption

    def select(self, query: str = "") -> list[str]:
        """Names whose captions pass a filter (`tags.query`)."""
        passes = tags.query(query)
        return [name for name, entry in self.entries.items() if passes(entry.caption)]

    def preview(self, change: Edit, names: Iterable[str] | None = None) -> dict[str, tuple[str, str]]:
        """{name: (before, after)} of what `change(caption) -> caption` would alter."""
        altered = {}
        for name in self.entries if names is None else names:
            before = self.entries[name].caption
            after = change(before)
            if after != before:
                altered[name] = before, after
        return altered

    def edit(self, change: Edit, names: Iterable[str] | None = None) -> int:
        """Apply `change(caption) -> caption` to all or, on an error, none; the number of captions it altered."""
        return self.update({name: after for name, (_, after) in self.preview(change, names).items()})

    def update(self, new: dict[str, str]) -> int:
        """Set captions by name, as one step for `undo`; the number that changed. UserError for a name of no picture."""
        unknown = next((name for name in new if name not in self.entries), None)
        if unknown is not None:
            raise UserError(f"There is no picture {unknown!r} in {printable(self.root)}.")
        new = {name: one_line(caption) for name, caption in new.items()}
        before = {name: self.entries[name].caption for name in new if self.entries[name].caption != new[name]}
        if before:
            self._undo.append(before)
        for name in before:
            self.entries[name].caption = new[name]
        return len(before)

    @property
    def steps(self) -> int:
        """How many changes can be undone."""
        return len(self._undo)

    def undo(self) -> int:
        """Take the last change back; the number of captions, 0 when there is nothing left to undo."""
        before = self._undo.pop() if self._undo else {}
        for name, caption in before.items():
            self.entries[name].caption = caption
        return len(before)

    def changed(self) -> list[str]:
        """Names whose captions differ from their files."""
        return [name for name, entry in self.entries.items() if entry.caption != entry.original]

    def save(self, progress: Callable[[int, int, str], None] | None = None) -> tuple[list[str], list[Problem]]:
        """Write what changed; (names written, problems of those that somebody else changed or moved meanwhile).

        progress(done, total, text) may raise to stop: what is written by then counts as saved. UserError where a file
        can't be written.
        """
        written: list[str] = []
        problems: list[Problem] = []
        changed = self.changed()
        for done, name in enumerate(changed):
            if progress:
                progress(done, len(changed), "saving captions")
            entry = self.entries[name]
            if not entry.picture.exists():
                problems.append(Problem(entry.picture, f"{printable(name)} was renamed or removed since it was read, "
                                                       "so its caption is not written. Load the folder again.",
                                        False, "picture gone"))
                continue
            if content(entry.file) != entry.loaded:
                sentence = (f"{printable(entry.file.name)} was changed by somebody else since it was read; "
                            "it is left alone. Load the folder again to see it.")
                problems.append(Problem(entry.file, sentence, False, "changed outside"))
                continue
            try:
                write(entry)
            except OSError as error:
                reason = error.strerror or error
                raise UserError(f"{printable(entry.file)} can't be written ({reason}); "
                                "it and what follows is not saved.") from error
            written.append(name)
        return written, problems

    def counts(self, names: Iterable[str] | None = None) -> list[tuple[str, int]]:
        """[(tag, captions that have it)], most frequent first."""
        chosen = self.entries if names is None else names
        return Counter(tag for name in chosen for tag in dict.fromkeys(captions.tags(self[name]))).most_common()

    def common(self, share: float = OFTEN, keep: str = "") -> list[str]:
        """Tags in nearly every caption, without those of `keep` (the trigger word): candidates for pruning."""
        trigger = captions.tags(keep)
        written = sum(bool(entry.caption) for entry in self.entries.values())
        return [tag for tag, count in self.counts()
                if count >= share * written and count > 1 and not tags.has(trigger, tag)]


PRUNING = ("These tags stand in nearly every caption. Pruned, what they name becomes part of the trigger word and is "
           "always there; kept, they stay words that you can leave out or change in a prompt.")


def entry(file: PictureFile, extension: str) -> Entry:
    path = captions.caption_file(file.texts, extension)
    if path is None:
        caption = file.metadata_caption
        return Entry(file.path, file.path.with_suffix(extension), None, caption, caption)
    loaded = content(path)
    caption, further = first_line(loaded or "")
    return Entry(file.path, path, loaded, caption, caption, further)


def write(entry: Entry) -> None:
    """The caption of an `Entry` into its file, the old text beside it."""
    backup = entry.file.with_name(entry.file.name + ".bak")
    if entry.loaded is not None and not is_of_today(backup):
        shutil.copyfile(entry.file, backup)
    write_text(entry.file, entry.caption + (entry.further or "\n"))
    entry.loaded, entry.original = content(entry.file), entry.caption


def is_of_today(backup: Path) -> bool:
    """Whether a file was written in the last 24 hours: it holds the text before the first save of a session, not the
    last.
    """
    return backup.is_file() and 0 <= time.time() - backup.stat().st_mtime < DAY


def content(file: Path) -> str | None:
    """The text of a file, None if there is none."""
    try:
        return text.read(file)[0]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{printable(file)} can't be read ({error.strerror or error}).") from error


def first_line(content: str) -> tuple[str, str]:
    """(the first line that says something, everything behind it)."""
    body = content.lstrip("\n ")
    line, newline, further = body.partition("\n")
    return line.strip(), newline + further


def one_line(caption: str) -> str:
    return " ".join(caption.split("\n")).strip()
