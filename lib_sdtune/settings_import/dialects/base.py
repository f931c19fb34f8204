"""A dialect reads one kind of file into a `Draft`."""

from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry
from lib_sdtune.settings_import.files import Files


class Dialect:
    """`title`: whose files they are; `program`: files of one program may be given together; `order`: the more special
    dialects look first. `is_part`: whether it is read after the others, because it belongs to a run's settings.
    """

    name: str
    title = ""
    program = "sd-scripts"
    order = 50
    is_part = False

    @staticmethod
    def recognises(document: Document) -> bool:
        raise NotImplementedError

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        """Put what the document says into the draft. UserError for what cannot be trained."""
        raise NotImplementedError


def add(draft: Draft, name: str, entry: Entry) -> None:
    """Add an option of sd-scripts; of two files that disagree the later one counts, which is told."""
    earlier = draft.options.get(name)
    if earlier and earlier.source != entry.source and not earlier.is_unset and not earlier.agrees(entry):
        draft.notes.warnings.append(
            f"{earlier} of {earlier.source} and {entry} of {entry.source} contradict each other; the latter counts."
        )
    draft.options[name] = entry
