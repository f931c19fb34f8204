"""The settings file of kohya-ss/sd-scripts (--config_file), in TOML or JSON: one level of sections, whatever their
names.

kohya_ss writes the same beside its models, lora-scripts as its autosave, and the notebooks for Colab with sections.
"""

from lib_sdtune.settings_import import families
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect, add
from lib_sdtune.settings_import.documents import Document, flat
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.sd_scripts.files import follow

DISTINCT = {
    "pretrained_model_name_or_path",
    "network_module",
    "network_dim",
    "network_alpha",
    "network_args",
    "train_batch_size",
    "train_data_dir",
    "optimizer_type",
    "max_train_steps",
    "max_train_epochs",
    "output_name",
    "save_model_as",
    "unet_lr",
    "text_encoder_lr",
    "save_every_n_epochs",
    "lr_warmup_steps",
    "cache_latents",
    "enable_bucket",
    "bucket_reso_steps",
    "caption_extension",
    "clip_skip",
    "min_snr_gamma",
    "save_precision",
    "xformers",
    "in_json",
    "dataset_config",
}


@registry.register("sd-scripts config")
class SdScriptsConfig(Dialect):
    title, order = "sd-scripts", 90

    @staticmethod
    def recognises(document: Document) -> bool:
        return document.kind in ("toml", "json") and len(DISTINCT & set(flat(document.table))) >= 2

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        draft.program = draft.program or "sd-scripts"
        for key, value in flat(document.table).items():
            add(draft, key, Entry(key, value, document.name))
        sections = " ".join(key for key, value in document.table.items() if isinstance(value, dict))
        if "sdxl" in sections.lower():
            draft.sdxl = True
        families.check_options(document.name, draft.options)
        follow(document, draft, files)
