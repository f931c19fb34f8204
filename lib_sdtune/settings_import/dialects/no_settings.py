"""Files that look like settings of a training and are none: each is told what it is."""

from collections.abc import Callable

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect
from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.files import Files

RATES = {"down_lr_weight", "up_lr_weight", "mid_lr_weight"}


def is_block_weights(document: Document) -> bool:
    rows = list(document.table.values())
    return bool(rows) and all(isinstance(row, dict) and row and set(row) <= RATES for row in rows)


def is_prompts(document: Document) -> bool:
    prompt = document.table.get("prompt")
    return isinstance(prompt, dict) and ("subset" in prompt or "prompt" in prompt) or is_prompt_lines(document)


def is_prompt_lines(document: Document) -> bool:
    lines = [line for line in document.text.splitlines() if line.strip()]
    return document.kind == "script" and bool(lines) and "--pretrained" not in document.text and all(
        any(f" --{flag} " in line for flag in ("n", "w", "h", "d", "l", "s")) for line in lines)


def is_own(document: Document) -> bool:
    table = document.table
    return isinstance(table.get("concepts"), list) and isinstance(table.get("train", {}), dict) and (
        table.get("method") in ("lora", "dreambooth", "textual_inversion", "hypernetwork")) and (
        isinstance(table.get("dataset"), dict) or isinstance(table.get("train"), dict))


KINDS: tuple[tuple[Callable[[Document], bool], str], ...] = (
    (is_own, "{} is a CONFIG of SD Tune already; `train` takes it as it is."),
    (is_block_weights, "{} is a preset of block weights, not the settings of a run."),
    (lambda document: bool({"unet_target_module", "unet_target_name", "module_algo_map"} & set(document.table)),
     "{} is a preset of LyCORIS, which chooses layers; it is not the settings of a run."),
    (is_prompts, "{} is a file of prompts for samples, not the settings of a run."),
    (lambda document: {"compute_environment", "distributed_type"} <= set(document.table),
     "{} is the configuration of accelerate, not the settings of a run."),
    (lambda document: {"nodes", "links"} <= set(document.table) or "last_node_id" in document.table,
     "{} is a workflow of ComfyUI, not the settings of a run."),
    (lambda document: "_base_" in document.table or "plugin_unet" in document.table or "lora_unet" in document.table,
     "{} is of HCP-Diffusion, whose settings are not known here."),
)


@registry.register("no settings")
class NoSettings(Dialect):
    title, order = "no settings", 1

    @staticmethod
    def recognises(document: Document) -> bool:
        return any(is_kind(document) for is_kind, _ in KINDS)

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        raise UserError(next(sentence for is_kind, sentence in KINDS if is_kind(document)).format(document.name))
