"""Options of sd-scripts' fine-tuning scripts, of accelerate and of older versions: read where a file has them, not part
of the table.
"""

from lib_sdtune.settings_import.option import Option
from lib_sdtune.settings_import.sd_scripts.options.unneeded import MEMORY, WORKERS

OTHERS = [
    Option("learning_rate_te1", float, None, "dreambooth.text_encoder_lr", group="rates"),
    Option("learning_rate_te2", float, None, "dreambooth.text_encoder_lr", group="rates"),
    Option("train_text_encoder", bool, False, "dreambooth.text_encoder_lr", group="rates"),
    Option("block_lr", str, None, how="gave each block of SDXL a rate of its own"),
    Option("fused_optimizer_groups", int, 0, how=MEMORY),
    Option("blockwise_fused_optimizers", bool, False, how=MEMORY),
    Option("diffusers_xformers", bool, False, how=MEMORY),
    Option("dynamo_mode", str, None, how=MEMORY),
    Option("dynamo_use_dynamic", bool, False, how=MEMORY),
    Option("dynamo_use_fullgraph", bool, False, how=MEMORY),
    Option("num_cpu_threads_per_process", int, None, how=MEMORY),
    Option("num_processes", int, 1, how="trained on several GPUs", group="processes"),
    Option("multi_gpu", bool, False, how="trained on several GPUs", group="processes"),
    Option("num_machines", int, 1, how=WORKERS),
    Option("machine_rank", int, 0, how=WORKERS),
    Option("main_process_port", int, 0, how=WORKERS),
    Option("gpu_ids", str, None, how=WORKERS),
    Option("lowvram", bool, False, how=MEMORY),
    Option("medvram", bool, False, how=MEMORY),
    Option("text_encoder_batch_size", int, None, how=MEMORY),
    Option("blocks_to_swap", int, 0, how=MEMORY),
    Option("epoch", int, None, how="is no option of sd-scripts and was ignored there"),
    Option("sdxl", bool, False, how="is no option of sd-scripts; its script decides", group="checkpoint"),
    Option("lr_restart_cycles", int, None, how="is no option of sd-scripts and was ignored there"),
    Option("noise_offset_type", str, None, how="is no option of sd-scripts and was ignored there", group="noise_type"),
    Option("comment", str, None, how="was a comment of yours"),
    Option("zero_snr", bool, False, how="is no option of sd-scripts and was ignored there"),
    *[Option(name, kind, default, how="belongs to models of another kind") for name, kind, default in (
        ("guidance_scale", float, None), ("discrete_flow_shift", float, None), ("timestep_sampling", str, None),
        ("model_prediction_type", str, None), ("weighting_scheme", str, None), ("logit_mean", float, None),
        ("logit_std", float, None), ("mode_scale", float, None), ("apply_t5_attn_mask", bool, False),
        ("t5xxl_max_token_length", int, None), ("train_blocks", str, None), ("split_mode", bool, False))],
]
