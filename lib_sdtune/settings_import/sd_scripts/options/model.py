"""Options of sd-scripts that name the model."""

from lib_sdtune.settings_import.option import Option
from lib_sdtune.settings_import.sd_scripts.options.unneeded import FILES

MODEL = [
    Option("pretrained_model_name_or_path", str, None, "model.checkpoint", group="checkpoint",
           how="a file means the same; a diffusers folder or a name on the Hub is no file"),
    Option("v2", bool, False, how="told the scripts that it is SD2; the checkpoint says so itself", group="checkpoint"),
    Option("v_parameterization", bool, False, "model.prediction_type", group="checkpoint",
           how="true is v_prediction; otherwise the checkpoint is believed"),
    Option("clip_skip", int, 1, "model.clip_skip", group="checkpoint",
           how="counted alike; without effect on SDXL there and here"),
    Option("vae", str, None, how="encoded the pictures with another VAE; here the checkpoint's own does"),
    Option("tokenizer_cache_dir", str, None, how=FILES),
    Option("no_half_vae", bool, False, how="kept the VAE in float32; here pictures are encoded precisely anyway"),
]
