"""The files of one import: those that the user gave, and those that they name and that lie beside them."""

from collections.abc import Sequence
from pathlib import Path, PurePath

from lib_sdtune.errors import UserError
from lib_sdtune.formats.paths import exists, is_share
from lib_sdtune.settings_import import documents
from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry


class Files:
    """`inputs`: what the user gave; `parts`: paths of those that were read as part of another file.

    searches: whether further files are looked for beside the inputs.
    """

    def __init__(self, inputs: Sequence[Document], searches: bool = True) -> None:
        self.inputs, self.parts, self.searches = list(inputs), set[Path](), searches

    def named(self, entry: Entry, document: Document, draft: Draft) -> Document | None:
        """The file that an entry of `document` names: one of the inputs, else the one beside it.

        None where it is not there, which is told.
        """
        text = str(entry.value).strip()
        name = PurePath(text.replace("\\", "/")).name
        for named_document in self.inputs:
            if named_document.name == name and named_document is not document:
                self.parts.add(named_document.path)
                return named_document
        path = self.beside(text, document)
        if path is None:
            draft.notes.missing.append(
                f"{entry}: that file is not beside {document.name}; give it too, for it belongs to the settings."
            )
            return None
        self.parts.add(path)
        draft.notes.warnings.append(f"{entry}: {path} was read too.")
        try:
            return documents.read(path)
        except UserError as error:
            draft.notes.missing.append(f"{entry}: {error}")
            return None

    def beside(self, text: str, document: Document) -> Path | None:
        """The path that a text means, below the folder of the document that names it or directly in it."""
        relative = PurePath(text.replace("\\", "/"))
        if not self.searches or is_share(text) or not relative.name:
            return None
        folder = document.path.absolute().parent
        for path in (folder.joinpath(*relative.parts), folder / relative.name):
            inside = path.is_relative_to(folder) and ".." not in path.parts and ":" not in path.name
            if inside and exists(path) and path.is_file() and path != document.path.absolute():
                return path
        return None
