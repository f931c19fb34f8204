"""What the kohya_ss GUI calls sd-scripts' options, and its own keys (bmaltais/kohya_ss at 45088f04).

Its recent versions leave out of what they pass on every value that is "", false or 0, so 0 means sd-scripts' default.
"""

from lib_sdtune.settings_import.option import Option
from lib_sdtune.settings_import.sd_scripts.options.unneeded import LOGGING, MEMORY

PAGE = "belongs to another page of that program"
BLOCKS = "gave each block of the model its own; here all have one"

RENAMED = {
    "optimizer": "optimizer_type", "max_resolution": "resolution", "lora_network_weights": "network_weights",
    "sdxl_cache_text_encoder_outputs": "cache_text_encoder_outputs", "sdxl_no_half_vae": "no_half_vae",
    "sdxl_checkbox": "sdxl", "dora_wd": "dora_wd",
}

# LoRA_type -> (network_module, algo)
TYPES = {
    "standard": ("networks.lora", ""), "kohya locon": ("networks.lora", "convolutions"),
    "kohya dylora": ("networks.dylora", ""), "lora-fa": ("networks.lora_fa", ""), "locon": ("lycoris.kohya", "locon"),
    "lycoris/locon": ("lycoris.kohya", "locon"), "lycoris/loha": ("lycoris.kohya", "loha"),
    "lycoris/lokr": ("lycoris.kohya", "lokr"), "lycoris/ia3": ("lycoris.kohya", "ia3"),
    "lycoris/glora": ("lycoris.kohya", "glora"), "lycoris/dylora": ("lycoris.kohya", "dylora"),
    "lycoris/diag-oft": ("lycoris.kohya", "diag-oft"), "lycoris/boft": ("lycoris.kohya", "boft"),
    "lycoris/native fine-tuning": ("lycoris.kohya", "full"), "kohya loha": ("networks.loha", "convolutions"),
    "kohya lokr": ("networks.lokr", "convolutions"), "loha": ("networks.loha", "convolutions"),
    "lokr": ("networks.lokr", "convolutions"),
}
NETWORK_ARGUMENTS = {  # the page's name -> network_args' name
    "conv_dim": "conv_dim", "conv_alpha": "conv_alpha", "LyCORIS_preset": "preset", "dora_wd": "dora_wd",
    "factor": "factor", "rank_dropout": "rank_dropout", "module_dropout": "module_dropout",
    "rank_dropout_scale": "rank_dropout_scale", "use_tucker": "use_tucker", "use_cp": "use_cp", "use_scalar": "use_scalar",
    "train_norm": "train_norm", "bypass_mode": "bypass_mode", "decompose_both": "decompose_both",
    "constrain": "constraint", "rescaled": "rescaled", "unit": "unit", "train_on_input": "train_on_input",
    "loraplus_lr_ratio": "loraplus_lr_ratio", "loraplus_unet_lr_ratio": "loraplus_unet_lr_ratio",
    "loraplus_text_encoder_lr_ratio": "loraplus_text_encoder_lr_ratio", "down_lr_weight": "down_lr_weight",
    "mid_lr_weight": "mid_lr_weight", "up_lr_weight": "up_lr_weight", "block_lr_zero_threshold": "block_lr_zero_threshold",
    "block_dims": "block_dims", "block_alphas": "block_alphas", "conv_block_dims": "conv_block_dims",
    "conv_block_alphas": "conv_block_alphas", "conv_dims": "conv_block_dims", "conv_alphas": "conv_block_alphas",
}
ONLY_WITH_LYCORIS = (
    "LyCORIS_preset",
    "dora_wd",
    "factor",
    "use_tucker",
    "use_cp",
    "use_scalar",
    "train_norm",
    "bypass_mode",
    "rank_dropout_scale",
    "constrain",
    "rescaled",
    "train_on_input",
    "decompose_both",
)

PAGES = [
    Option("noise_offset_type", str, None, group="gui", how="chooses which of noise_offset and multires_noise is in force"),
    Option("model_list", str, None, how="was the list that the model was chosen from"),
    Option("save_as_bool", bool, False, how=PAGE),
    Option("use_wandb", bool, False, how=LOGGING),
    Option("extra_accelerate_launch_args", str, "", how=MEMORY),
    Option("batch_size", int, 0, how="was the batch of caching latents; train_batch_size is the training's"),
    *[Option(name, str, None, how=PAGE) for name in (
        "caption_metadata_filename", "create_buckets", "create_caption", "full_path", "latent_metadata_filename",
        "train_dir", "use_latent_files")],
]
