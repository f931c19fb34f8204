"""The dataset file of sd-scripts: [general], [[datasets]] and [[datasets.subsets]]; also what FluxGym writes."""

from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect
from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.sd_scripts.files import read_subsets


@registry.register("dataset TOML")
class DatasetToml(Dialect):
    title, order, is_part = "sd-scripts' dataset file", 20, True

    @staticmethod
    def recognises(document: Document) -> bool:
        return document.kind in ("toml", "json") and isinstance(document.table.get("datasets"), list)

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        draft.program = draft.program or "sd-scripts"
        if not draft.options:
            draft.notes.warnings.append(
                f"{document.name} names pictures alone. What a run needs besides is what "
                "sd-scripts does by itself (a network of dim 4 at rate 2e-6, 1,600 steps); give "
                "the file with the training's settings too, or change those."
            )
        read_subsets(document, draft)
