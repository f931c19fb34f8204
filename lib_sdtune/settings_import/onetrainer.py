"""OneTrainer's names, as tables (Nerogar/OneTrainer at 23df3832)."""

from lib_sdtune.settings_import.option import Option

MODELS = ("STABLE_DIFFUSION_15", "STABLE_DIFFUSION_20", "STABLE_DIFFUSION_20_BASE", "STABLE_DIFFUSION_21",
          "STABLE_DIFFUSION_21_BASE", "STABLE_DIFFUSION_XL_10_BASE")
OTHER_METHODS = {"FINE_TUNE_VAE": "the training of a VAE"}
SCHEDULES = {"CONSTANT": "constant", "LINEAR": "linear", "COSINE": "cosine", "ADAFACTOR": "adafactor", "REX": "rex",
             "COSINE_WITH_HARD_RESTARTS": "cosine_with_restarts"}
PRECISIONS = {
    "train.mixed_precision": {"FLOAT_16": "fp16", "BFLOAT_16": "bf16", "FLOAT_32": "no", "TFLOAT_32": "no"},
    "save.precision": {"FLOAT_16": "fp16", "BFLOAT_16": "bf16", "FLOAT_32": "float", "NONE": "float"}}
OPTIMIZER_ARGUMENTS = {
    "beta3": "beta3", "eps": "eps", "weight_decay": "weight_decay", "d0": "d0", "d_coef": "d_coef", "decouple": "decouple",
    "safeguard_warmup": "safeguard_warmup", "use_bias_correction": "use_bias_correction", "growth_rate": "growth_rate",
    "momentum": "momentum", "dampening": "dampening", "nesterov": "nesterov"}

PLACES = "chose folders; where files go is fixed here"
MACHINE = "concerned the machine alone and changes no result"
MASKS = "gave what lies outside of a mask some weight; here it has none"
RARE = "there is no such setting here"


def timestep(share: float) -> int:
    """Of a strength of noise from 0 to 1; what is beyond stays beyond."""
    return int(min(1000 * share, 10_000))


def kind_of(default: object) -> type:
    return type(default) if isinstance(default, bool | int | float) else str


OPTIONS = [
    Option("batch_size", int, 1, "train.batch_size"),
    Option("gradient_accumulation_steps", int, 1, "train.gradient_accumulation_steps"),
    Option("learning_rate_cycles", int, 1, "train.lr_scheduler_num_cycles"),
    Option("clip_grad_norm", float, 1.0, "train.max_grad_norm"),
    Option("seed", int, None, "train.seed"),
    Option("aspect_ratio_bucketing", bool, True, "dataset.enable_bucket"),
    Option("latent_caching", bool, True, "dataset.cache_latents"),
    Option("offset_noise_weight", float, 0.0, "noise.noise_offset"),
    Option("perturbation_noise_weight", float, 0.0, "noise.ip_noise_gamma", "added to the target too there"),
    Option("min_noising_strength", float, 0.0, "noise.min_timestep", "a share there", timestep),
    Option("max_noising_strength", float, 1.0, "noise.max_timestep", "a share there", timestep),
    Option("rescale_noise_scheduler_to_zero_terminal_snr", bool, False, "noise.zero_terminal_snr"),
    Option("preserve_embedding_norm", bool, False, "textual_inversion.preserve_norm"),
    Option("validation", bool, False, how="validated with concepts of their own; validation.images names a folder here"),
    Option("masked_training", bool, False, "dataset.masked_loss",
           "NAME-masklabel.png beside a picture is read here too"),
    Option("unmasked_probability", float, 0.1, how=MASKS), Option("unmasked_weight", float, 0.1, how=MASKS),
    Option("normalize_masked_area_loss", bool, False, "loss.normalize_masked_area_loss"),
    Option("dropout_probability", float, 0.0, "lora.network_dropout"),
    Option("dynamic_timestep_shifting", bool, False, how="belongs to models of another kind"),
    Option("vb_loss_strength", float, 1.0, how="belongs to models of another kind"),
    Option("loss_scaler", str, "NONE", how="multiplied the loss"),
    Option("only_cache", bool, False, how="trained nothing: it cached alone"),
    Option("force_circular_padding", bool, False, how="trained for pictures that tile"),
    Option("random_rotate_and_crop", bool, False, how="turned and cropped pictures at random; `prepare` turns and crops"),
    Option("text_encoder_2_layer_skip", int, 0, how="chose the layer of SDXL's second text encoder, which is fixed here"),
    Option("ema_update_step_interval", int, 5, how="belonged to ema"),
    *[Option(name, kind_of(default), default, how=MACHINE) for name, default in (
        ("weight_dtype", "FLOAT_32"), ("fallback_train_dtype", "BFLOAT_16"), ("lora_weight_dtype", "FLOAT_32"),
        ("embedding_weight_dtype", "FLOAT_32"), ("train_device", "cuda"), ("temp_device", "cpu"),
        ("attention_mechanism", ""), ("dataloader_threads", 2), ("enable_autocast_cache", True),
        ("gradient_checkpointing_offloading", ""), ("layer_offload_fraction", 0), ("enable_async_offloading", True),
        ("enable_activation_offloading", True), ("compile", False))],
    *[Option(name, kind_of(default), default, how=PLACES) for name, default in (
        ("workspace_dir", ""), ("cache_dir", ""), ("debug_dir", "debug"), ("debug_mode", False), ("save_filename_prefix", ""),
        ("output_model_format", "SAFETENSORS"), ("include_train_config", "NONE"), ("clear_cache_before_training", True),
        ("continue_last_backup", False), ("rolling_backup", False), ("rolling_backup_count", 3),
        ("backup_before_save", True), ("tensorboard", True), ("tensorboard_expose", False), ("tensorboard_port", 6006),
        ("sample_image_format", "JPG"), ("samples_to_tensorboard", True), ("non_ema_sampling", True),
        ("tensorboard_always_on", False),
        ("save_skip_first", 0), ("sample_skip_first", 0), ("sample_audio_format", "MP3"), ("sample_video_format", "MP4"))],
    *[Option(name, kind_of(default), default, how=RARE) for name, default in (
        ("circular_mask_generation", False), ("align_prop", False), ("align_prop_probability", 0.1),
        ("align_prop_loss", "AESTHETIC"), ("align_prop_weight", 0.01), ("align_prop_steps", 20),
        ("align_prop_truncate_steps", 0.5), ("align_prop_cfg_scale", 7.0), ("custom_learning_rate_scheduler", ""),
        ("train_any_embedding", False), ("learning_rate_min_factor", 0.0))],
]

