"""ai-toolkit's names, as tables (ostris/ai-toolkit at 27a03a91)."""

from lib_sdtune.settings_import.option import Option

LEARNING_RATE = 1e-6
METHODS = {"sd_trainer": "lora", "diffusion_trainer": "lora", "textual_inversion_trainer": "textual_inversion",
           "ui_trainer": "lora"}
NETWORKS = {
    "lora": "lora",
    "lierla": "lora",
    "c3lier": "lora",
    "locon": "lora",
    "lokr": "lokr",
    "loha": "loha",
    "dora": "dora",
}
ARCHITECTURES = ("", "sd1", "sd2", "sdxl", "sd", "ssd", "vega")
PRECISIONS = {
    "train.mixed_precision": {"bf16": "bf16", "bfloat16": "bf16", "fp16": "fp16", "float16": "fp16", "fp32": "no", "float32": "no",
                              "float": "no"},
    "save.precision": {"bf16": "bf16", "bfloat16": "bf16", "fp16": "fp16", "float16": "fp16", "fp32": "float",
                       "float32": "float", "float": "float"}}

PLACES = "chose folders; where files go is fixed here"
MACHINE = "concerned the machine alone and changes no result"

OPTIONS = [
    Option("train.batch_size", int, 1, "train.batch_size"),
    Option("train.gradient_checkpointing", bool, True, "train.gradient_checkpointing",
           convert=lambda value: "on" if value else "off"),
    Option("train.min_snr_gamma", float, 0.0, "loss.min_snr_gamma"),
    Option("train.noise_offset", float, 0.0, "noise.noise_offset"),
    Option("train.max_denoising_steps", int, 1000, "noise.max_timestep"),
    Option("train.min_denoising_steps", int, 0, "noise.min_timestep"),
    Option("train.max_grad_norm", float, 1.0, "train.max_grad_norm"),
    Option("train.seed", int, None, "train.seed"),
    Option("save.save_every", int, 1000, "save.every_n_steps"),
    Option("save.max_step_saves_to_keep", int, 5, "save.keep_last"),
    Option("sample.width", int, 512, "sample.width"), Option("sample.height", int, 512, "sample.height"),
    Option("sample.guidance_scale", float, 7.0, "sample.cfg_scale"),
    Option("sample.sample_steps", int, 20, "sample.steps"), Option("sample.seed", int, 0, "sample.seed"),
    Option("sample.sampler", str, "ddpm", how="chose the sampler of the samples; here it is the WebUI's"),
    Option("sample.walk_seed", bool, False, how="gave each prompt a seed of its own; here all have one"),
    Option("sample.network_multiplier", float, 1.0, how="was the weight of the LoRA in samples"),
    Option("sample.sample_start_step", int, 0, how="made no samples before that step"),
    Option("sample.format", str, "jpg", how=PLACES), Option("sample.ext", str, "jpg", how=PLACES),
    Option("save.save_format", str, "safetensors", how="the file is safetensors here"),
    Option("save.push_to_hub", bool, False, how="uploaded files; nothing here is sent anywhere"),
    Option("save.hf_repo_id", str, None, how="uploaded files; nothing here is sent anywhere"),
    Option("save.hf_private", bool, False, how="uploaded files; nothing here is sent anywhere"),
    Option("train.skip_first_sample", bool, False, how="made no samples before the first step; here none are made then"),
    Option("train.noise_scheduler", str, "ddpm", how="was another schedule of noise"),
    Option("train.weight_jitter", float, 0.0, how="added noise to the weights"),
    Option("train.xformers", bool, False, how=MACHINE), Option("train.sdp", bool, False, how=MACHINE),
    Option("train.content_or_style", str, "balanced", how="drew some timesteps more often; here all alike"),
    Option("train.linear_timesteps", bool, False, how="belongs to models of another kind"),
    Option("train.timestep_type", str, "sigmoid", how="belongs to models of another kind"),
    Option("train.bypass_guidance_embedding", bool, False, how="belongs to models of another kind"),
    Option("train.cache_text_embeddings", bool, False, how=MACHINE),
    Option("train.unload_text_encoder", bool, False, how=MACHINE),
    *[Option(f"model.{name}", kind, default, how=MACHINE) for name, kind, default in (
        ("quantize", bool, False), ("quantize_te", bool, False), ("low_vram", bool, False), ("qtype", str, None),
        ("qtype_te", str, None), ("dtype", str, None))],
    *[Option(name, str, None, how=PLACES) for name in (
        "training_folder", "device", "log_dir", "sqlite_db_path", "performance_log_every", "output_path")],
]
