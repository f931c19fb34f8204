"""Every option of sd-scripts' train_network.py, train_db.py and train_textual_inversion.py for SD1, SD2 and SDXL, and
what it is called here.

Names, kinds and defaults are those of kohya-ss/sd-scripts at 48d368fa (library/train_util.py and the scripts). The
other programs that write its names are translated through this table, and docs/sd-scripts-options.md is written from
it.
"""

from pathlib import PurePath

from lib_sdtune.settings_import.option import Option

MEMORY = "saved memory or time and changes no result; SD Tune does that by itself"
LOGGING = "wrote logs for other programs; a run here keeps its own log"
UPLOAD = "uploaded files; nothing here is sent anywhere"
CARD = "wrote that text into the file's metadata"
FILES = "chose folders; where files go is fixed here"
WORKERS = "several computers or processes; `torchrun` starts those here"
COLOURS = "changed colours or cut out faces while training; prepare such pictures beforehand"



def stem(path: str) -> str:
    """The name of a file, as the WebUI lists it."""
    return PurePath(path.replace("\\", "/")).stem


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

PICTURES = [
    Option("train_data_dir", str, None, "concepts[].images", group="pictures",
           how="the same parent of folders such as 10_cat; with in_json a flat folder"),
    Option("reg_data_dir", str, None, "concepts[].class_images", group="pictures",
           how="the same; shown as often as the subject there and here; an embedding learns nothing of them"),
    Option("in_json", str, None, how="read the captions from one JSON file; put a caption file beside each picture",
           group="pictures", scripts="nt"),
    Option("dataset_repeats", int, 1, "concepts[].repeats", group="pictures", scripts="nt",
           how="counts with in_json alone"),
    Option("dataset_config", str, None, "concepts[], dataset.*", group="pictures",
           how="the file that it names is read too, where it is there"),
    Option("dataset_class", str, None, how="loaded pictures by a program of yours"),
    Option("resolution", str, None, "dataset.resolution", group="resolution",
           how="one number: of width and height the side of a square of the same area"),
    Option("enable_bucket", bool, False, "dataset.enable_bucket"),
    Option("min_bucket_reso", int, 256, "dataset.min_bucket_reso"),
    Option("max_bucket_reso", int, 1024, "dataset.max_bucket_reso"),
    Option("bucket_reso_steps", int, 64, "dataset.bucket_reso_steps"),
    Option("bucket_no_upscale", bool, False, "dataset.bucket_no_upscale"),
    Option("resize_interpolation", str, None, how="chose how pictures are resized; here it is fixed"),
    Option("cache_latents", bool, False, "dataset.cache_latents", group="cache",
           how="caches one encoding of each picture: dataset.latent_sampling is once then, else random"),
    Option("cache_latents_to_disk", bool, False, "dataset.cache_latents", group="cache", how="implies cache_latents"),
    Option("skip_cache_check", bool, False, how=MEMORY),
    Option("vae_batch_size", int, 1, how=MEMORY),
    Option("flip_aug", bool, False, "dataset.flip_aug"),
    Option("random_crop", bool, False, "dataset.random_crop"),
    Option("color_aug", bool, False, how=COLOURS),
    Option("face_crop_aug_range", str, None, how=COLOURS),
    Option("alpha_mask", bool, False, "dataset.alpha_mask"),
    Option("masked_loss", bool, False, "dataset.masked_loss", "a mask counts by its brightness, there by its red"),
    Option("conditioning_data_dir", str, None, "concepts[].conditioning_data_dir", group="pictures",
           how="the same folder of masks; there a dataset TOML alone can name it, and every picture must have one"),
    Option("debug_dataset", bool, False, how="showed the pictures and stopped; `inspect` does that here"),
    Option("cache_info", bool, False, how=MEMORY),
]

CAPTIONS = [
    Option("caption_extension", str, ".caption", "dataset.caption_extension", group="captions"),
    Option("caption_extention", str, None, "dataset.caption_extension", "an old spelling", group="captions"),
    Option("shuffle_caption", bool, False, "dataset.shuffle_caption"),
    Option("keep_tokens", int, 0, "dataset.keep_tokens"),
    Option("keep_tokens_separator", str, "", "dataset.keep_tokens_separator"),
    Option("caption_separator", str, ",", how="parted the tags by another sign; here commas do"),
    Option("secondary_separator", str, None, "dataset.secondary_separator"),
    Option("enable_wildcard", bool, False, "dataset.enable_wildcard"),
    Option("caption_prefix", str, None, "dataset.caption_prefix"),
    Option("caption_suffix", str, None, "dataset.caption_suffix"),
    Option("caption_dropout_rate", float, 0.0, "dataset.caption_dropout_rate", scripts="nd"),
    Option("caption_dropout_every_n_epochs", int, 0, "dataset.caption_dropout_every_n_epochs", scripts="nd"),
    Option("caption_tag_dropout_rate", float, 0.0, "dataset.caption_tag_dropout_rate", scripts="nd"),
    Option("token_warmup_min", int, 1, "dataset.token_warmup_min"),
    Option("token_warmup_step", float, 0.0, "dataset.token_warmup_step"),
    Option("max_token_length", int, 75, "dataset.max_token_length", group="captions"),
    Option("no_token_padding", bool, False, how="encoded captions without padding to 77 tokens", scripts="d"),
    Option("weighted_captions", bool, False, "dataset.weighted_captions", "the mean of all values stays, as in the WebUI",
           scripts="nd"),
]

NETWORK = [
    Option("network_module", str, None, "lora.network", group="network", scripts="n",
           how="networks.lora is lora, lycoris.kohya the kind that network_args' algo says"),
    Option("network_args", list, None, "lora.network, lora.conv_dim, lora.conv_alpha", group="network", scripts="n",
           how="conv_dim, algo, dropouts, LoKr factor, Tucker, LoRA+ and blocks are known here"),
    Option("network_dim", int, 4, "lora.dim", group="network", scripts="n"),
    Option("network_alpha", float, 1.0, "lora.alpha", group="network", scripts="n", how="0 means the dim there"),
    Option("network_dropout", float, 0.0, "lora.network_dropout", scripts="n"),
    Option("network_weights", str, None, "lora.init_file", "the name of a LoRA in models/Lora; its own dims count",
           stem, scripts="n"),
    Option("dim_from_weights", bool, False, how="took the dim from network_weights, as lora.init_file always does",
           scripts="n"),
    Option("base_weights", list, None, "model.base_loras", group="network", scripts="n",
           how="names of LoRAs in models/Lora"),
    Option("base_weights_multiplier", list, None, "model.base_loras", group="network", scripts="n",
           how="the weight behind each name"),
    Option("scale_weight_norms", float, 0.0, "lora.scale_weight_norms", scripts="n"),
    Option("no_metadata", bool, False, how="left the metadata out of the file; here it is always written", scripts="n"),
    Option("training_comment", str, None, how=CARD, scripts="n"),
]

EMBEDDING = [
    Option("token_string", str, None, "textual_inversion.token", group="embedding", scripts="t"),
    Option("init_word", str, None, "textual_inversion.init_text", group="embedding", scripts="t"),
    Option("num_vectors_per_token", int, 1, "textual_inversion.num_vectors_per_token", group="embedding", scripts="t"),
    Option("weights", str, None, "textual_inversion.init_embedding", group="embedding", scripts="t",
           how="here the name of an embedding in the embeddings folder"),
    Option("use_object_template", bool, False, "concepts[].prompt", group="embedding", scripts="t",
           how="here the template subject.txt"),
    Option("use_style_template", bool, False, "concepts[].prompt", group="embedding", scripts="t",
           how="here the template style.txt"),
]

LEARNING = [
    Option("optimizer_type", str, "AdamW", "train.optimizer", group="optimizer",
           how="AdamW, AdamW8bit, Lion, Prodigy and SGDNesterov are the same; for others the nearest is taken"),
    Option("use_8bit_adam", bool, False, "train.optimizer", group="optimizer", how="AdamW8bit"),
    Option("use_lion_optimizer", bool, False, "train.optimizer", group="optimizer", how="Lion"),
    Option("optimizer_args", list, None, "train.optimizer_args", group="optimizer", how="those that the optimizer takes"),
    Option("learning_rate", float, 2e-6, "lora.unet_lr, dreambooth.unet_lr, textual_inversion.lr", group="rates",
           how="the rate of each part that has none of its own; there is no common rate here"),
    Option("unet_lr", float, None, "lora.unet_lr", group="rates", scripts="n"),
    Option("text_encoder_lr", list, None, "lora.text_encoder_lr", group="rates", scripts="n",
           how="one rate for both text encoders of SDXL"),
    Option("learning_rate_te", float, None, "dreambooth.text_encoder_lr", group="rates", scripts="d"),
    Option("network_train_unet_only", bool, False, "lora.text_encoder_lr", group="rates", scripts="n", how="0"),
    Option("network_train_text_encoder_only", bool, False, "lora.unet_lr", group="rates", scripts="n", how="0"),
    Option("cache_text_encoder_outputs", bool, False, "lora.text_encoder_lr", group="rates", scripts="n",
           how="implies that the text encoder is not trained: 0"),
    Option("cache_text_encoder_outputs_to_disk", bool, False, "lora.text_encoder_lr", group="rates", scripts="n",
           how="as cache_text_encoder_outputs"),
    Option("stop_text_encoder_training", int, None, "train.stop_text_encoder_training", group="length", scripts="d",
           how="below 0 the text encoder is not trained at all"),
    Option("lr_scheduler", str, "constant", "train.lr_scheduler", group="schedule",
           how="the same names; for those that are not known here the nearest is taken"),
    Option("lr_scheduler_type", str, "", "train.lr_scheduler", group="schedule", how="replaces lr_scheduler"),
    Option("lr_scheduler_args", list, None, how="were the arguments of lr_scheduler_type", group="schedule"),
    Option("lr_warmup_steps", float, 0, "train.lr_warmup_steps", group="length",
           how="a whole number is steps; a fraction is a share of all steps"),
    Option("lr_decay_steps", float, 0, "train.lr_decay_steps", group="length",
           how="a whole number is steps; a fraction is a share of all steps"),
    Option("lr_scheduler_num_cycles", int, 1, "train.lr_scheduler_num_cycles"),
    Option("lr_scheduler_power", float, 1.0, "train.lr_scheduler_power"),
    Option("lr_scheduler_timescale", int, 0, "train.lr_scheduler_timescale"),
    Option("lr_scheduler_min_lr_ratio", float, 0.0, "train.lr_scheduler_min_lr_ratio"),
    Option("max_grad_norm", float, 1.0, "train.max_grad_norm"),
    Option("train_batch_size", int, 1, "train.batch_size", how=""),
    Option("gradient_accumulation_steps", int, 1, "train.gradient_accumulation_steps"),
    Option("max_train_steps", int, 1600, "train.max_train_steps"),
    Option("max_train_epochs", int, 0, "train.max_train_epochs"),
    Option("seed", int, None, "train.seed", group="seed", how="absent is a random one there"),
    Option("mixed_precision", str, "no", "train.mixed_precision", group="precision"),
    Option("full_fp16", bool, False, how="trained in half precision without float32 copies; here the copies stay"),
    Option("full_bf16", bool, False, "dreambooth.weights", group="precision",
           how="bfloat16 for a whole model; a network stays float32 here"),
    Option("fp8_base", bool, False, how=MEMORY),
    Option("fp8_base_unet", bool, False, how=MEMORY, scripts="n"),
    Option("gradient_checkpointing", bool, False, "train.gradient_checkpointing", group="precision",
           how="true is on, false is off"),
    Option("cpu_offload_checkpointing", bool, False, how=MEMORY, scripts="n"),
    Option("fused_backward_pass", bool, False, how=MEMORY),
    Option("mem_eff_attn", bool, False, how=MEMORY),
    Option("xformers", bool, False, how=MEMORY, group="attention"),
    Option("sdpa", bool, False, how=MEMORY),
    Option("torch_compile", bool, False, how=MEMORY),
    Option("dynamo_backend", str, "inductor", how=MEMORY),
    Option("lowram", bool, False, how=MEMORY),
    Option("highvram", bool, False, how=MEMORY),
    Option("max_data_loader_n_workers", int, 8, how=MEMORY),
    Option("persistent_data_loader_workers", bool, False, how=MEMORY),
    Option("disable_mmap_load_safetensors", bool, False, how=MEMORY, scripts="nt"),
]

NOISE = [
    Option("noise_offset", float, 0.0, "noise.noise_offset"),
    Option("noise_offset_random_strength", bool, False, "noise.noise_offset_random_strength"),
    Option("adaptive_noise_scale", float, 0.0, "noise.adaptive_noise_scale"),
    Option("multires_noise_iterations", int, 0, "noise.multires_noise_iterations"),
    Option("multires_noise_discount", float, 0.3, "noise.multires_noise_discount"),
    Option("ip_noise_gamma", float, 0.0, "noise.ip_noise_gamma"),
    Option("ip_noise_gamma_random_strength", bool, False, "noise.ip_noise_gamma_random_strength"),
    Option("min_timestep", int, 0, "noise.min_timestep"),
    Option("max_timestep", int, 1000, "noise.max_timestep", convert=lambda value: value or 1000),
    Option("zero_terminal_snr", bool, False, "noise.zero_terminal_snr"),
]

LOSS = [
    Option("loss_type", str, "l2", "loss.loss_type"),
    Option("huber_c", float, 0.1, "loss.huber_c"),
    Option("huber_schedule", str, "snr", "loss.huber_schedule"),
    Option("huber_scale", float, 1.0, "loss.huber_scale"),
    Option("min_snr_gamma", float, 0.0, "loss.min_snr_gamma"),
    Option("debiased_estimation_loss", bool, False, "loss.debiased_estimation"),
    Option("scale_v_pred_loss_like_noise_pred", bool, False, "loss.scale_v_pred_loss_like_noise_pred"),
    Option("v_pred_like_loss", float, 0.0, "loss.v_pred_like_loss"),
    Option("prior_loss_weight", float, 1.0, "loss.prior_loss_weight"),
]

SAVING = [
    Option("output_name", str, None, "name", group="naming", how="letters that no file name may have are replaced"),
    Option("output_dir", str, None, how=FILES),
    Option("save_model_as", str, None, "textual_inversion.save_model_as", group="saving",
           how="safetensors or pt for an embedding; all else is safetensors here"),
    Option("use_safetensors", bool, False, how="all files are safetensors here", scripts="d"),
    Option("save_precision", str, "float", "save.precision", group="saving",
           how="absent is the precision of training there, float32 for a network"),
    Option("save_every_n_epochs", int, 0, "save.every_n_epochs", group="saving"),
    Option("save_every_n_steps", int, 0, "save.every_n_steps", group="saving"),
    Option("save_n_epoch_ratio", int, None, "save.every_n_epochs", group="saving",
           how="at least so many files in the run: epochs / ratio"),
    Option("save_last_n_epochs", int, 0, "save.keep_last", group="saving", how="the number of files that stay"),
    Option("save_last_n_steps", int, 0, "save.keep_last", group="saving",
           how="in steps there: the files of so many steps, and the newest"),
    Option("save_last_n_epochs_state", int, None, how="kept so many states; one is kept here"),
    Option("save_last_n_steps_state", int, None, how="kept states of so many steps; one is kept here"),
    Option("save_state", bool, False, "save.state_every_n_steps", group="saving",
           how="a state with every file; here by steps"),
    Option("save_state_on_train_end", bool, False, how="kept the state of the finished run"),
    Option("resume", str, None, how="went on from a state of sd-scripts; --resume goes on from states of SD Tune"),
    Option("skip_until_initial_step", bool, False, how="belonged to resume", scripts="n"),
    Option("initial_epoch", int, None, how="belonged to resume", scripts="n"),
    Option("initial_step", int, None, how="belonged to resume", scripts="n"),
]

SAMPLES = [
    Option("sample_every_n_epochs", int, 0, "sample.every_n_epochs", group="samples"),
    Option("sample_every_n_steps", int, 0, "sample.every_n_steps", group="samples"),
    Option("sample_at_first", bool, False, how="made samples before the first step too"),
    Option("sample_prompts", str, None, "sample.prompts", group="samples", how="the file that it names is read"),
    Option("sample_sampler", str, "ddim", how="chose the sampler of the samples; here it is the WebUI's"),
    Option("validation_split", float, 0.0, "validation.split", scripts="n"),
    Option("validate_every_n_steps", int, 0, "validation.every_n_steps", group="validation", scripts="n"),
    Option("validate_every_n_epochs", int, None, how="validated at every so manieth epoch; here after each", scripts="n"),
    Option("validation_seed", int, None, how="chose which pictures are kept aside; train.seed does here", scripts="n"),
    Option("max_validation_steps", int, None, how="measured so many batches; here all", scripts="n"),
]

REST = [
    Option("config_file", str, None, how="the file that it names is read too, where it is there", group="files"),
    Option("output_config", bool, False, how="wrote the options to a file"),
    *[Option(name, kind, None, how=LOGGING) for name, kind in {
        "logging_dir": str, "log_with": str, "log_prefix": str, "log_tracker_name": str, "log_tracker_config": str,
        "wandb_run_name": str, "wandb_api_key": str, "log_config": bool, "console_log_level": str,
        "console_log_file": str, "console_log_simple": bool}.items()],
    *[Option(name, kind, None, how=UPLOAD) for name, kind in {
        "huggingface_repo_id": str, "huggingface_repo_type": str, "huggingface_path_in_repo": str,
        "huggingface_token": str, "huggingface_repo_visibility": str, "save_state_to_huggingface": bool,
        "resume_from_huggingface": bool, "async_upload": bool}.items()],
    *[Option(f"metadata_{name}", str, None, how=CARD) for name in (
        "title", "author", "description", "license", "tags", "usage_hint", "thumbnail", "merged_from", "trigger_phrase",
        "preprocessor", "is_negative_embedding")],
    *[Option(name, kind, default, how=WORKERS) for name, kind, default in (
        ("ddp_timeout", int, None), ("ddp_gradient_as_bucket_view", bool, False), ("ddp_static_graph", bool, False),
        ("deepspeed", bool, False), ("zero_stage", int, 2), ("offload_optimizer_device", str, None),
        ("offload_optimizer_nvme_path", str, None), ("offload_param_device", str, None),
        ("offload_param_nvme_path", str, None), ("zero3_init_flag", bool, False), ("zero3_save_16bit_model", bool, False),
        ("fp16_master_weights_and_gradients", bool, False))],
]

OPTIONS = [*MODEL, *PICTURES, *CAPTIONS, *NETWORK, *EMBEDDING, *LEARNING, *NOISE, *LOSS, *SAVING, *SAMPLES, *REST]

# of its fine-tuning scripts, of accelerate and of older versions: read where a file has them, not part of the table
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

BY_NAME = {option.name: option for option in (*OPTIONS, *OTHERS)}
