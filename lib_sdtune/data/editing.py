"""The captions of a folder while they are edited: nothing is written before `save`, and every change can be undone.

A file that was changed by somebody else in the meantime is not overwritten; the text that a save replaces stays beside
it as .bak.
"""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lib_sdtune.data import captions, tags, text
from lib_sdtune.data.problem import Problem, shown
from lib_sdtune.data.walk import locate, walk
from lib_sdtune.errors import UserError
from lib_sdtune.formats.files import write_text

OFTEN = 0.9  # a tag in this share of the captions says what they have in common


@dataclass
class Entry:
    """One picture and its caption. `file` is where the caption is or will be; `rest` are further lines, kept as they are."""

    picture: Path
    file: Path
    loaded: str | None  # the file's whole text when it was read, None without a file
    caption: str
    original: str
    rest: str = ""


class Captions:
    """relative path of a picture -> caption, for all pictures of a folder."""

    def __init__(self, folder, extension=".txt"):
        self.problems = []
        self.root = locate(str(folder), Path.cwd(), "images")
        self.entries = {shown(found.relative): entry(found, extension) for found in walk(self.root, self.problems)}
        if not self.entries:
            raise UserError(f"{shown(self.root)} holds no pictures, so there are no captions to edit.")
        self._undo = []

    def __len__(self):
        return len(self.entries)

    def __getitem__(self, name):
        return self.entries[name].caption

    def select(self, query=""):
        """Names whose captions pass a filter (`tags.query`)."""
        passes = tags.query(query)
        return [name for name, one in self.entries.items() if passes(one.caption)]

    def preview(self, change, names=None):
        """{name: (before, after)} of what `change(caption) -> caption` would alter."""
        found = {}
        for name in self.entries if names is None else names:
            before = self.entries[name].caption
            after = change(before)
            if after != before:
                found[name] = before, after
        return found

    def edit(self, change, names=None):
        """Apply `change(caption) -> caption`; the number of captions it altered. All or none: an error alters nothing."""
        return self.put({name: after for name, (_, after) in self.preview(change, names).items()})

    def put(self, new):
        """Set captions by name; one step for `undo`."""
        unknown = next((name for name in new if name not in self.entries), None)
        if unknown is not None:
            raise UserError(f"There is no picture {unknown!r} in {shown(self.root)}.")
        new = {name: one_line(caption) for name, caption in new.items()}
        before = {name: self.entries[name].caption for name in new if self.entries[name].caption != new[name]}
        if before:
            self._undo.append(before)
        for name in before:
            self.entries[name].caption = new[name]
        return len(before)

    @property
    def steps(self):
        """How many changes can be undone."""
        return len(self._undo)

    def undo(self):
        """Take the last change back; the number of captions, 0 when there is nothing left to undo."""
        before = self._undo.pop() if self._undo else {}
        for name, caption in before.items():
            self.entries[name].caption = caption
        return len(before)

    def changed(self):
        """Names whose captions differ from their files."""
        return [name for name, one in self.entries.items() if one.caption != one.original]

    def save(self, progress=None):
        """Write what changed; (names written, problems of those that somebody else changed meanwhile).

        progress(done, total, text) may raise to stop: what is written by then counts as saved. UserError where a file can't be written.
        """
        written, problems, changed = [], [], self.changed()
        for done, name in enumerate(changed):
            if progress:
                progress(done, len(changed), "saving captions")
            one = self.entries[name]
            if content(one.file) != one.loaded:
                problems.append(Problem(one.file, f"{shown(one.file.name)} was changed by somebody else since it was read; "
                                                  "it is left alone. Load the folder again to see it.", False, "changed outside"))
                continue
            try:
                write(one)
            except OSError as error:
                why = error.strerror or error
                raise UserError(f"{shown(one.file)} can't be written ({why}); it and what follows is not saved.") from error
            written.append(name)
        return written, problems

    def counts(self, names=None):
        """[(tag, captions that have it)], most frequent first."""
        chosen = self.entries if names is None else names
        return Counter(tag for name in chosen for tag in dict.fromkeys(captions.tags(self[name]))).most_common()

    def common(self, share=OFTEN, keep=""):
        """Tags in nearly every caption, without those of `keep` (the trigger word): candidates for pruning."""
        kept = captions.tags(keep)
        written = sum(bool(one.caption) for one in self.entries.values())
        return [tag for tag, count in self.counts() if count >= share * written and count > 1 and not tags.has(kept, tag)]


PRUNING = ("These tags stand in nearly every caption. Pruned, what they name becomes part of the trigger word and is always there; "
           "kept, they stay words that you can leave out or change in a prompt.")


def entry(found, extension):
    file = captions.caption_file(found.texts, extension)
    if file is None:
        return Entry(found.path, found.path.with_suffix(extension), None, found.listed, found.listed)
    loaded = content(file)
    caption, rest = head(loaded or "")
    return Entry(found.path, file, loaded, caption, caption, rest)


def write(one):
    """The caption of an `Entry` into its file, the old text beside it."""
    if one.loaded is not None:
        shutil.copyfile(one.file, one.file.with_name(one.file.name + ".bak"))
    write_text(one.file, one.caption + (one.rest or "\n"))
    one.loaded, one.original = content(one.file), one.caption


def content(file):
    """The text of a file, None if there is none."""
    try:
        return text.read(file)[0]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{shown(file)} can't be read ({error.strerror or error}).") from error


def head(whole):
    """(the first line that says something, everything behind it)."""
    body = whole.lstrip("\n ")
    line, newline, rest = body.partition("\n")
    return line.strip(), newline + rest


def one_line(caption):
    return " ".join(caption.split("\n")).strip()
