"""Where the WebUI looks for files, whatever its flags say."""

from pathlib import Path

from modules import paths, sd_models, shared


def folder(kind):
    """The folder of a kind of file: "lora", "embeddings", "hypernetworks", "checkpoints", "templates" (prompts), or "sdtune" (our own)."""
    if kind == "sdtune":
        return Path(paths.data_path).absolute() / "sdtune"
    if kind == "templates":
        return Path(shared.cmd_opts.textual_inversion_templates_dir).absolute()
    return roots(kind)[0] / subfolder()


def roots(kind):
    """The folders in and below which the WebUI reads files of that kind, first the one that new files go to."""
    flags = shared.cmd_opts
    if kind == "lora":
        named = [getattr(flags, "lora_dir", None) or Path(paths.models_path) / "Lora", getattr(flags, "lyco_dir_backcompat", None)]
    elif kind == "embeddings":
        from modules.sd_hijack import model_hijack

        named = [flags.embeddings_dir, *getattr(getattr(model_hijack, "embedding_db", None), "embedding_dirs", ())]
    elif kind == "hypernetworks":
        named = [flags.hypernetwork_dir]
    elif kind == "checkpoints":
        named = [flags.ckpt_dir or sd_models.model_path, sd_models.model_path]
    else:
        raise KeyError(kind)
    return list(dict.fromkeys(Path(folder).absolute() for folder in named if folder))


def subfolder():
    """The sub-folder that the settings ask for, made of harmless names only."""
    from lib_sdtune.formats.names import check_name

    asked = getattr(shared.opts, "sdtune_subfolder", "") or ""
    return Path(*[check_name(part, "output sub-folder") for part in asked.replace("\\", "/").split("/") if part])
