"""Where the WebUI looks for files, whatever its flags say."""

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
        return Path(shared.cmd_opts.textual_inversion_templates_dir).absolute()
    return roots(kind)[0] / subfolder()


def roots(kind: str) -> list[Path]:
    """The folders in and below which the WebUI reads files of that kind, first the one that new files go to."""
    flags = shared.cmd_opts
    if kind == "lora":
        loras = getattr(flags, "lora_dir", None) or Path(paths.models_path) / "Lora"
        candidates = [loras, getattr(flags, "lyco_dir_backcompat", None)]
    elif kind == "embeddings":
        from modules.sd_hijack import model_hijack

        candidates = [flags.embeddings_dir, *getattr(getattr(model_hijack, "embedding_db", None), "embedding_dirs", ())]
    elif kind == "hypernetworks":
        candidates = [flags.hypernetwork_dir]
    elif kind == "checkpoints":
        candidates = [flags.ckpt_dir or sd_models.model_path, sd_models.model_path]
    else:
        raise KeyError(kind)
    return list(dict.fromkeys(Path(folder).absolute() for folder in candidates if folder))


def subfolder() -> Path:
    """The sub-folder that the settings ask for, made of harmless names only."""
    from lib_sdtune.formats.names import check_name

    setting = getattr(shared.opts, "sdtune_subfolder", "") or ""
    names = [name for name in setting.replace("\\", "/").split("/") if name]
    return Path(*[check_name(name, "output sub-folder") for name in names])
