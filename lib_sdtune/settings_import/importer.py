"""`import_settings`: files of another program's settings, together one CONFIG."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.formats.names import check_name
from lib_sdtune.settings_import import documents
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect
from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.finish import finish
from lib_sdtune.settings_import.notes import Notes
from lib_sdtune.settings_import.sd_scripts.translate import translate
from lib_sdtune.settings_import.steps import total_steps


@dataclass
class ImportedSettings:
    """`config`: complete but for a name or pictures that nobody said. `lines`: what was done with each setting, for a
    terminal; `notes`: the same by kind.
    """

    config: dict[str, Any]
    lines: list[str] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)


def import_settings(paths: Sequence[str | Path], images: str = "", name: str = "") -> ImportedSettings:
    """CONFIG from one or more files of one run.

    images: the folder of the pictures here; name: what the run is called; both go before what the files say.
    UserError for what is no file of settings, and for what cannot be trained.
    """
    if name:
        check_name(name)
    inputs = [documents.read(Path(path)) for path in paths]
    return import_documents(inputs, images, name, base=inputs[0].path.absolute().parent)


def import_documents(inputs: Sequence[Document], images: str = "", name: str = "",
                     base: Path | None = None) -> ImportedSettings:
    """The same of documents that are read already.

    base: the folder that they lie in, where files and pictures that they name are looked for; None for documents that
    lie nowhere here, so that nothing is looked for but `images`.
    """
    if name:
        check_name(name)
    pairs = sorted(((dialect_of(document), document) for document in inputs), key=lambda pair: pair[0].is_part)
    check_one_program(pairs)
    draft = Draft(images=os.path.abspath(images) if images else "", name=name, base=base)
    draft.assign("sample.every_n_steps", 0)  # other programs draw none unless a file asks for them
    files = Files(inputs, searches=base is not None)
    for dialect, document in pairs:
        if document.path not in files.parts:
            dialect.read(document, draft, files)
        draft.notes.warnings.extend(document.remarks)
    if draft.options or draft.subsets:
        translate(draft, total_steps)
    if name:
        draft.config["name"] = name
    config = finish(draft)
    for _, document in pairs:
        note_unmentioned(document, draft)
    titles = dict.fromkeys(f"{document.name} ({dialect.title})" for dialect, document in pairs)
    return ImportedSettings(config, [f"Read: {', '.join(titles)}.", *draft.notes.lines()], draft.notes)


def note_unmentioned(document: Document, draft: Draft) -> None:
    """No key of a file goes without a word. Tables in it, and lists of them, are the dialects' own affair."""
    text = "\n".join(draft.notes.lines())
    for key, value in documents.flat(document.table).items():
        entry = Entry(str(key), value, document.name)
        if is_named(entry.key, text) or isinstance(value, dict) or is_list_of_tables(value):
            continue
        if entry.is_unset or str(value).lower() in ("false", "0", "0.0"):
            draft.notes.off.append(entry.key)
        else:
            draft.notes.refuse(entry, "has no effect on a run here")


def is_named(key: str, text: str) -> bool:
    """Whether the text has the key as a word of its own, or at the end of a path such as "train.lr"."""
    return re.search(rf"(?<!\w){re.escape(key)}(?!\w)", text) is not None


def is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def dialect_of(document: Document) -> type[Dialect]:
    """The dialect of a file. UserError where it is none that is known."""
    dialects = sorted((dialect for _, dialect in registry), key=lambda dialect: dialect.order)
    dialect = next((dialect for dialect in dialects if dialect.recognises(document)), None)
    if dialect is None:
        raise UserError(f"{document.name} is no settings file of a training program that is known here.")
    return dialect


def check_one_program(pairs: Sequence[tuple[type[Dialect], Document]]) -> None:
    """UserError for files of different programs: they cannot belong to one run."""
    first, *remaining = [(dialect, document) for dialect, document in pairs if dialect.program] or [(None, None)]
    for dialect, document in remaining:
        if first[0].program != dialect.program:
            raise UserError(
                f"{first[1].name} is of {first[0].title} and {document.name} of {dialect.title}; give the files "
                "of one run."
            )
