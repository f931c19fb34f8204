"""The captions of a folder while they are edited: nothing is written before `save`, and every change can be undone.

A file that was changed by somebody else in the meantime is not overwritten, and no caption is written for a picture
that is gone. Text whose encoding is a guess is saved as UTF-8 only once somebody has confirmed that it was read right,
and a file of which only the beginning was read is not edited. The text before stays beside it, see `caption_backup`.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

from lib_sdtune.data import captions, tags
from lib_sdtune.data.caption_entry import Entry, content, entry, write
from lib_sdtune.data.listing import first_names
from lib_sdtune.data.paths import locate
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.data.walk import walk
from lib_sdtune.errors import RunError, UserError, system_reason

EXCERPT = 40  # characters of a caption in a sentence
OFTEN = 0.9  # a tag in this share of the captions says what they have in common
Edit = Callable[[str], str]  # caption -> caption


class Captions:
    """relative path of a picture -> caption, for all pictures of a folder."""

    def __init__(self, folder: Path | str, extension: str = ".txt") -> None:
        self.found: list[Problem] = []  # by the walk through the folder
        self.root = locate(str(folder), Path.cwd(), "images")
        files = walk(self.root, self.found, extension)
        self.entries = {printable(file.relative): entry(file, extension) for file in files}
        if not self.entries:
            raise UserError(f"{printable(self.root)} holds no pictures, so there are no captions to edit.")
        self._undo: list[dict[str, str]] = []

    @property
    def problems(self) -> list[Problem]:
        """What the owner of the captions should know, as they are now."""
        return [*told(self.entries), *self.found]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, name: str) -> str:
        return self.entries[name].caption

    def select(self, query: str = "") -> list[str]:
        """Names whose captions pass a filter (`tags.query`)."""
        passes = tags.query(query)
        return [name for name, entry in self.entries.items() if passes(entry.caption)]

    def preview(self, change: Edit, names: Iterable[str] | None = None) -> dict[str, tuple[str, str]]:
        """{name: (before, after)} of what `change(caption) -> caption` would alter, without what can't be edited."""
        altered = {}
        for name in self.entries if names is None else names:
            if self.entries[name].is_cut:
                continue
            before = self.entries[name].caption
            after = change(before)
            if after != before:
                altered[name] = before, after
        return altered

    def edit(self, change: Edit, names: Iterable[str] | None = None) -> int:
        """Apply `change(caption) -> caption` to all or, on an error, none; the number of captions it altered."""
        return self.update({name: after for name, (_, after) in self.preview(change, names).items()})

    def update(self, new: dict[str, str]) -> int:
        """Set captions by name, as one step for `undo`; the number that changed.

        UserError for a name of no picture, and for a caption that can't be edited.
        """
        unknown = next((name for name in new if name not in self.entries), None)
        if unknown is not None:
            raise UserError(f"There is no picture {unknown!r} in {printable(self.root)}.")
        new = {name: one_line(caption) for name, caption in new.items()}
        before = {name: self.entries[name].caption for name in new if self.entries[name].caption != new[name]}
        if cut := next((self.entries[name].file for name in before if self.entries[name].is_cut), None):
            raise UserError(f"The caption {printable(cut.name)} is larger than 64 KiB and can't be edited here; "
                            "shorten it in another program.")
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

    def guessed(self) -> list[str]:
        """Names of changed captions that are saved only once somebody has confirmed that they were read right."""
        return [name for name in self.changed() if self.entries[name].is_guess]

    def save(self, progress: Callable[[int, int, str], None] | None = None,
             confirmed: Container[str] = ()) -> tuple[list[str], list[Problem]]:
        """Write what changed; (names written, problems of those that somebody else changed or moved meanwhile).

        confirmed: names of `guessed` captions that somebody has seen to be right; the others are left unsaved, which is
        a problem too. progress(done, total, text) may raise to stop: what is written by then counts as saved.
        UserError where a file can't be written.
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
            if entry.is_guess and name not in confirmed:
                sentence = (f"{printable(entry.file.name)} is not UTF-8 and was read as {entry.encoding}, which nobody "
                            "has confirmed; it is not saved.")
                problems.append(Problem(entry.file, sentence, False, "caption not UTF-8"))
                continue
            if content(entry.file)[0] != entry.loaded:
                sentence = (f"{printable(entry.file.name)} was changed by somebody else since it was read; "
                            "it is left alone. Load the folder again to see it.")
                problems.append(Problem(entry.file, sentence, False, "changed outside"))
                continue
            try:
                write(entry)
            except (OSError, RunError) as error:
                cause = error if isinstance(error, OSError) else error.__cause__ or error
                raise UserError(f"{printable(entry.file)} can't be written ({system_reason(cause)}); "
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


def told(entries: dict[str, Entry]) -> Iterator[Problem]:
    """What the owner of the captions should know before editing them."""
    if guessed := [entry for entry in entries.values() if entry.is_guess]:
        shown = [f'{entry.file.name} ({entry.encoding}: "{entry.caption[:EXCERPT]}")' for entry in guessed]
        yield Problem(guessed[0].file, f"Captions that are not UTF-8, so that their encoding is a guess: "
                                       f"{first_names(shown)}. See whether these words are right; saving them "
                                       "asks for it.",
                      False, "caption not UTF-8")
    if cut := [entry for entry in entries.values() if entry.is_cut]:
        names = first_names([entry.file.name for entry in cut])
        yield Problem(cut[0].file, f"Captions that are larger than 64 KiB and can't be edited here: {names}.", False,
                      "caption too long")


def one_line(caption: str) -> str:
    return " ".join(caption.split("\n")).strip()
