"""The TOML of derrian-distro's LoRA_Easy_Training_Scripts: sections with args and dataset_args, and [[subsets]]."""

from typing import Any

from lib_sdtune.settings_import import families
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect, add
from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry, fraction
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.sd_scripts.files import entries_of, follow
from lib_sdtune.settings_import.sd_scripts.lengths import Share

SECTIONS = ("general_args", "network_args", "optimizer_args", "saving_args", "bucket_args", "noise_args", "sample_args",
            "logging_args")
PARTS = ("args", "dataset_args")
UNNEEDED = {
    "save_toml": "wrote these settings beside the file",
    "save_toml_location": "wrote these settings beside the file",
    "tag_occurrence": "wrote a list of the tags beside the file",
    "train_mode": "",
}


@registry.register("LoRA_Easy_Training_Scripts")
class EasyTrainingScripts(Dialect):
    title, order = "LoRA_Easy_Training_Scripts", 25

    @staticmethod
    def recognises(document: Document) -> bool:
        table = document.table
        return any(isinstance(table.get(section), dict) and any(part in table[section] for part in PARTS)
                   for section in SECTIONS)

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        table = document.table
        draft.program = "LoRA_Easy_Training_Scripts"
        mode = table.get("train_mode")
        mode = mode.get("train_mode", "lora") if isinstance(mode, dict) else mode or "lora"
        draft.script = "train_textual_inversion" if "inversion" in str(mode) else "train_network"
        for key, value in values(table).items():
            record(key, value, document, draft)
        if draft.options.is_on("sdxl"):
            draft.sdxl = True
        for subset in table.get("subsets") or []:
            if isinstance(subset, dict):
                draft.subsets.append(entries_of(subset, document.name))
        families.check_options(document.name, draft.options)
        follow(document, draft, files)


def values(table: dict[str, Any]) -> dict[str, Any]:
    """key -> value of all sections; network_args and optimizer_args are tables in them."""
    result: dict[str, Any] = {}
    for section in (part for part in table.values() if isinstance(part, dict)):
        for part in PARTS:
            if isinstance(section.get(part), dict):
                result |= section[part]
    return result


def record(key: str, value: Any, document: Document, draft: Draft) -> None:
    entry = Entry(key, value, document.name)
    if key == "warmup_ratio":
        try:
            draft.options.record("lr_warmup_steps", Share(fraction(value)), key, document.name)
        except ValueError as error:
            draft.notes.unread(entry, error)
    elif key in UNNEEDED:
        draft.notes.off.append(key)
    elif key == "network_args" and isinstance(value, dict) and value:
        arguments = dict(value)
        if "algo" in arguments and "network_module" not in draft.options:
            draft.options.record("network_module", "lycoris.kohya", "network_args.algo", document.name)
        draft.options.record(key, arguments, key, document.name)
    else:
        add(draft, "train_batch_size" if key == "batch_size" else key, entry)
