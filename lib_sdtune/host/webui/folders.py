"""Where the WebUI looks for files, whatever its flags say."""

from pathlib import Path

from modules import paths, sd_models, shared


def folder(kind):
    """The folder of a kind of file: "lora", "embeddings", "hypernetworks", "checkpoints", "templates" (prompts), or "sdtune" (our own)."""
    flags = shared.cmd_opts
    if kind == "sdtune":
        return Path(paths.data_path).absolute() / "sdtune"
    if kind == "templates":
        return Path(flags.textual_inversion_templates_dir).absolute()
    if kind == "lora":
        base = Path(getattr(flags, "lora_dir", None) or Path(paths.models_path) / "Lora")
    elif kind == "embeddings":
        base = Path(flags.embeddings_dir)
    elif kind == "hypernetworks":
        base = Path(flags.hypernetwork_dir)
    elif kind == "checkpoints":
        base = Path(flags.ckpt_dir or sd_models.model_path)
    else:
        raise KeyError(kind)
    return base.absolute() / subfolder()


def subfolder():
    """The sub-folder that the settings ask for, made of harmless names only."""
    from lib_sdtune.formats.names import check_name

    asked = getattr(shared.opts, "sdtune_subfolder", "") or ""
    return Path(*[check_name(part, "output sub-folder") for part in asked.replace("\\", "/").split("/") if part])
