"""The real WebUI in this process, on a data folder with the embedded model as its only checkpoint."""

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED = ROOT / "lib_sdtune" / "ldm" / "embedded"
FLAGS = ["--skip-torch-cuda-test", "--use-cpu", "all", "--no-half", "--skip-prepare-environment", "--no-hashing",
         "--no-download-sd-model"]
HELD_OUT = 2  # pictures that are never trained on


def lay_out(folder):
    """A data folder with the embedded model, and its pictures apart: the last two are never trained on."""
    import yaml

    from tools.embedded_sizes import UNET, VAE

    place = folder / "data" / "models" / "Stable-diffusion"
    place.mkdir(parents=True)
    (folder / "data" / "embeddings").mkdir()
    (folder / "data" / "models" / "hypernetworks").mkdir()
    shutil.copy(EMBEDDED / "model.safetensors", place / "embedded.safetensors")
    settings = yaml.safe_load((Path(os.environ["SDTUNE_WEBUI_DIR"]) / "configs" / "v1-inference.yaml").read_text())
    parts = settings["model"]["params"]
    parts["unet_config"]["params"].update(
        model_channels=UNET["model_channels"], channel_mult=list(UNET["channel_mult"]), context_dim=UNET["context_dim"],
        num_res_blocks=UNET["num_res_blocks"], num_heads=UNET["num_heads"],
        attention_resolutions=[2**level for level in UNET["attention_levels"]])
    parts["first_stage_config"]["params"]["ddconfig"].update(
        ch=VAE["ch"], ch_mult=list(VAE["ch_mult"]), num_res_blocks=VAE["num_res_blocks"])
    parts["cond_stage_config"]["params"] = {"version": str(EMBEDDED)}
    (place / "embedded.yaml").write_text(yaml.safe_dump(settings))
    pictures = sorted((ROOT / "examples" / "ron" / "ron").glob("*.png"))
    for number, picture in enumerate(pictures):
        destination = folder / ("held" if number >= len(pictures) - HELD_OUT else "pictures")
        destination.mkdir(exist_ok=True)
        caption = picture.with_suffix(".txt").read_text().replace("ron toy", "toy")
        shutil.copy(picture, destination / picture.name)
        (destination / f"{picture.stem}.txt").write_text(caption)


def start(folder):
    """The WebUI in this process, without its page; its `shared` module."""
    sys.path.insert(0, os.environ["SDTUNE_WEBUI_DIR"])
    os.chdir(os.environ["SDTUNE_WEBUI_DIR"])
    sys.argv = ["launch.py", "--data-dir", str(folder / "data"), *FLAGS]
    from modules import initialize

    initialize.imports()
    initialize.check_versions()
    initialize.initialize()
    from modules import script_callbacks, shared
    from modules.textual_inversion import textual_inversion

    script_callbacks.before_ui_callback()
    assert shared.sd_model is not None
    shared.opts.data.update(save_training_settings_to_txt=False, training_write_csv_every=0, emphasis="No norm")
    textual_inversion.list_textual_inversion_templates()
    return shared
