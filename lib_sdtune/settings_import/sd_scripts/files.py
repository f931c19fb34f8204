"""The files that sd-scripts' options name: the dataset TOML and the prompts of samples."""

from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.sample_prompts import from_table, set_prompts


def follow(document: Document, draft: Draft, files: Files) -> None:
    """Read the dataset file and the prompts that the options of the draft name."""
    if (entry := draft.options.take("dataset_config")) and not draft.subsets:
        named_document = files.named(entry, document, draft)
        if named_document is not None:
            read_subsets(named_document, draft)
    prompts(draft.options.take("sample_prompts"), document, draft, files)


def prompts(entry: Entry | None, document: Document, draft: Draft, files: Files) -> None:
    """Set the prompts: the lines of the file that the entry names, or its own text where it is none."""
    if entry is None or draft.get("sample.prompts"):
        return
    value = entry.value
    if isinstance(value, list):
        set_prompts(draft, [str(line) for line in value], entry)
    elif not is_file_name(str(value)):
        set_prompts(draft, str(value).splitlines(), entry)
    elif (named_document := files.named(entry, document, draft)) is not None:
        lines = named_document.text.splitlines() if named_document.kind == "script" else from_table(named_document.data)
        set_prompts(draft, lines, entry)


def is_file_name(text: str) -> bool:
    return "\n" not in text and text.strip().lower().endswith((".txt", ".toml", ".json"))


def read_subsets(document: Document, draft: Draft) -> None:
    """Put the subsets of a dataset TOML into the draft: each with what it inherits. UserError where it has none."""
    tables = document.table.get("datasets")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UserError(f"{document.name} has no [[datasets]], so it is no dataset file of sd-scripts.")
    general = document.table.get("general")
    for table in tables:
        inherited = {**(general if isinstance(general, dict) else {}),
                     **{key: value for key, value in table.items() if key != "subsets"}}
        subsets = table.get("subsets") or []
        for subset in subsets if isinstance(subsets, list) else []:
            if isinstance(subset, dict):
                draft.subsets.append(entries_of({**inherited, **subset}, document.name))
    if not draft.subsets:
        raise UserError(f"{document.name} has no [[datasets.subsets]], so it names no pictures.")


def entries_of(table: dict[str, Any], source: str) -> Entries:
    entries = Entries()
    for key, value in table.items():
        entries.record(key, value, source=source)
    return entries
