"""Where the WebUI looks for files, whatever its flags say."""

import sys
from pathlib import Path

from modules import paths, sd_models, shared


def folder(kind: str) -> Path:
    """The folder of a kind of file: "lora", "embeddings", "hypernetworks", "checkpoints", "templates" (prompts),
    "taggers" (that describe pictures), or "sdtune" (our own).
    """
    if kind == "sdtune":
        return Path(paths.data_path).absolute() / "sdtune"
    if kind == "taggers":
        return Path(paths.models_path).absolute() / "WD14"
    if kind == "templates":
        templates = getattr(shared.cmd_opts, "textual_inversion_templates_dir", None)
        return Path(templates or Path(paths.data_path) / "textual_inversion_templates").absolute()
    return roots(kind)[0] / subfolder()


def roots(kind: str) -> list[Path]:
    """The folders in and below which the WebUI reads files of that kind, first the one that new files go to."""
    flags = shared.cmd_opts
    if kind == "lora":
        loras = getattr(flags, "lora_dir", None) or Path(paths.models_path) / "Lora"
        candidates = [loras, getattr(flags, "lyco_dir_backcompat", None), *(getattr(flags, "lora_dirs", None) or ())]
    elif kind == "embeddings":
        hijack = getattr(sys.modules.get("modules.sd_hijack"), "model_hijack", None)  # a fork may have none
        candidates = [flags.embeddings_dir, *getattr(getattr(hijack, "embedding_db", None), "embedding_dirs", ())]
    elif kind == "hypernetworks":
        candidates = [getattr(flags, "hypernetwork_dir", None) or Path(paths.models_path) / "hypernetworks"]
    elif kind == "checkpoints":
        candidates = [getattr(flags, "ckpt_dir", None) or sd_models.model_path, sd_models.model_path,
                      *(getattr(flags, "ckpt_dirs", None) or ())]
    else:
        raise KeyError(kind)
    return list(dict.fromkeys(Path(folder).absolute() for folder in candidates if folder))


def subfolder() -> Path:
    """The sub-folder that the settings ask for, made of harmless names only."""
    from lib_sdtune.formats.names import check_name

    setting = getattr(shared.opts, "sdtune_subfolder", "") or ""
    names = [name for name in setting.replace("\\", "/").split("/") if name]
    return Path(*[check_name(name, "output sub-folder") for name in names])
