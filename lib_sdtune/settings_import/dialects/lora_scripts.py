"""Settings exported from the page of Akegarasu's lora-scripts, with `model_train_type`, and its presets.

What its autosave writes has sd-scripts' names alone and is read as such.
"""

from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.formats import toml
from lib_sdtune.settings_import import families
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect, add
from lib_sdtune.settings_import.documents import Document, flat
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.optimizers import pairs
from lib_sdtune.settings_import.sample_prompts import line_of, set_prompts
from lib_sdtune.settings_import.sd_scripts.files import follow, prompts
from lib_sdtune.settings_import.sd_scripts.lora_scripts import PAGE, PRODIGY, SCRIPTS

SAMPLES = {"sample_width": "width", "sample_height": "height", "sample_cfg": "cfg_scale", "sample_seed": "seed",
           "sample_steps": "steps"}
SWITCHES = ("enable_preview", "enable_base_weight", "enable_block_weights", "randomly_choice_prompt")
BLOCKS = ("down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_lr_zero_threshold", "block_dims", "block_alphas",
          "conv_block_dims", "conv_block_alphas", "rank_dropout", "module_dropout")


@registry.register("lora-scripts page")
class LoraScripts(Dialect):
    title, order = "lora-scripts", 30

    @staticmethod
    def recognises(document: Document) -> bool:
        table = document.table
        return "model_train_type" in flat(table) or is_preset(table)

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        table = document.table
        draft.program = "lora-scripts"
        if is_preset(table):
            families.check_word(document.name, str(table["data"].get("model_type", "")))
            families.check_word(document.name, str(table["metadata"].get("train_type", "")))
            table = {"model_train_type": table["metadata"].get("train_type", "sd-lora"), **table["data"]}
        settings = {**flat(table), **custom(table, document)}
        kind = str(settings.pop("model_train_type"))
        families.check_word(document.name, kind)
        if kind not in SCRIPTS:
            raise UserError(
                f"{document.name} is for {kind} of lora-scripts, which cannot be trained here; SD Tune trains "
                f"{', '.join(SCRIPTS)}."
            )
        draft.script, draft.sdxl = SCRIPTS[kind], kind.startswith("sdxl") or draft.sdxl
        arguments_of_network(settings, document, draft)
        arguments_of_optimizer(settings, document, draft)
        samples(settings, document, draft, files)
        for name in SWITCHES:
            if name in settings:
                settings.pop(name)
                draft.notes.off.append(name)
        for key, value in settings.items():
            add(draft, key, Entry(key, value, document.name))
        families.check_options(document.name, draft.options)
        follow(document, draft, files)


def is_preset(table: dict[str, Any]) -> bool:
    return set(table) == {"metadata", "data"} and all(isinstance(part, dict) for part in table.values())


def custom(table: dict[str, Any], document: Document) -> dict[str, Any]:
    """ui_custom_params: TOML text whose keys go before all others."""
    text = table.pop("ui_custom_params", "")
    return flat(toml.parse(str(text), f"{document.name} ui_custom_params")) if text else {}


def arguments_of_network(settings: dict[str, Any], document: Document, draft: Draft) -> None:
    """lycoris_algo and the like as network_args, where the network is LyCORIS'; then network_args_custom."""
    lycoris = "lycoris" in str(settings.get("network_module", ""))
    arguments = pairs(settings.pop("network_args", None) or [])
    for key, argument in PAGE.items():
        if key in settings:
            value = settings.pop(key)
            if lycoris or (key in ("conv_dim", "conv_alpha") and value and "conv_dim" in settings):
                arguments.setdefault(argument, value)
            else:
                draft.notes.off.append(key)
    blocks = settings.get("enable_block_weights", True)
    for key in BLOCKS:
        if key in settings:
            value = settings.pop(key)
            if blocks or key.endswith("dropout"):
                arguments.setdefault(key, value)
            else:
                draft.notes.off.append(key)
    arguments |= pairs(settings.pop("network_args_custom", None) or [])
    if arguments:
        draft.options.record("network_args", arguments, "network arguments", document.name)


def arguments_of_optimizer(settings: dict[str, Any], document: Document, draft: Draft) -> None:
    arguments = pairs(settings.pop("optimizer_args", None) or [])
    prodigy = str(settings.get("optimizer_type", "")).lower().startswith("prodigy")
    for key in [key for key in PRODIGY if key in settings]:
        value = settings.pop(key)
        if prodigy and value not in ("", None):
            arguments |= pairs({PRODIGY[key]: value})
        else:
            draft.notes.off.append(key)
    arguments |= pairs(settings.pop("optimizer_args_custom", None) or [])
    if arguments:
        draft.options.record("optimizer_args", arguments, "optimizer arguments", document.name)


def samples(settings: dict[str, Any], document: Document, draft: Draft, files: Files) -> None:
    """The page's prompt with its size, seed, CFG and steps as one line; or the file of prompts that it names."""
    file, positive, negative = (
        settings.pop(key, "") for key in ("prompt_file", "positive_prompts", "negative_prompts")
    )
    values = {name: settings.pop(key) for key, name in SAMPLES.items() if key in settings}
    enabled = settings.get("enable_preview", True)
    if not enabled:
        for key in ("sample_every_n_epochs", "sample_every_n_steps", "sample_prompts"):
            if settings.pop(key, None) is not None:
                draft.notes.off.append(key)
        return
    if file:
        prompts(Entry("prompt_file", file, document.name), document, draft, files)
    elif positive:
        set_prompts(draft, [line_of({"prompt": positive, "negative_prompt": negative, **values})],
                    Entry("positive_prompts", positive, document.name))
