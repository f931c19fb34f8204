"""What Akegarasu's lora-scripts and its forks call sd-scripts' options: its page's export, and the variables of its
scripts.

Sources: mikazuki/schema, train.ps1 and train.sh at fdefba9; the fork 28598519a/lora-scripts-windows.
"""

# exported page -> sd-scripts; the rest has sd-scripts' names
PAGE = {"lycoris_algo": "algo", "lokr_factor": "factor", "dylora_unit": "unit", "conv_dim": "conv_dim",
        "conv_alpha": "conv_alpha", "dropout": "dropout"}
PRODIGY = {"prodigy_d0": "d0", "prodigy_d_coef": "d_coef", "d0": "d0", "d_coef": "d_coef"}
SCRIPTS = {"sd-lora": "train_network", "sdxl-lora": "train_network", "sd-dreambooth": "train_db",
           "sdxl-finetune": "sdxl_train"}

# script variable -> sd-scripts
VARIABLES = {
    "pretrained_model": "pretrained_model_name_or_path", "train_data_dir": "train_data_dir", "reg_data_dir": "reg_data_dir",
    "network_module": "network_module", "network_weights": "network_weights", "network_dim": "network_dim",
    "network_alpha": "network_alpha", "resolution": "resolution", "batch_size": "train_batch_size",
    "max_train_epoches": "max_train_epochs", "max_train_epochs": "max_train_epochs",
    "save_every_n_epochs": "save_every_n_epochs", "stop_text_encoder_training": "stop_text_encoder_training",
    "noise_offset": "noise_offset", "keep_tokens": "keep_tokens", "min_snr_gamma": "min_snr_gamma", "lr": "learning_rate",
    "unet_lr": "unet_lr", "text_encoder_lr": "text_encoder_lr", "lr_scheduler": "lr_scheduler",
    "lr_warmup_steps": "lr_warmup_steps", "lr_restart_cycles": "lr_scheduler_num_cycles", "optimizer_type": "optimizer_type",
    "output_name": "output_name", "save_model_as": "save_model_as", "resume": "resume", "save_state": "save_state",
    "min_bucket_reso": "min_bucket_reso", "max_bucket_reso": "max_bucket_reso", "clip_skip": "clip_skip",
    "persistent_data_loader_workers": "persistent_data_loader_workers", "multi_gpu": "multi_gpu", "lowram": "lowram",
    "train_unet_only": "network_train_unet_only", "train_text_encoder_only": "network_train_text_encoder_only",
    "use_8bit_adam": "use_8bit_adam", "use_lion": "use_lion_optimizer", "mixed_precision": "mixed_precision",
    "save_precision": "save_precision", "flip_aug": "flip_aug", "debug_dataset": "debug_dataset",
    "is_v2_model": "v2", "parameterization": "v_parameterization", "v_parameterization": "v_parameterization",
    "log_tracker_name": "log_tracker_name", "wandb_api_key": "wandb_api_key", "sdxl": "sdxl", "vae": "vae",
    "gradient_checkpointing": "gradient_checkpointing", "gradient_accumulation_steps": "gradient_accumulation_steps",
    "shuffle_caption": "shuffle_caption", "cache_latents": "cache_latents", "enable_bucket": "enable_bucket",
    "bucket_reso_steps": "bucket_reso_steps", "bucket_no_upscale": "bucket_no_upscale", "random_crop": "random_crop",
    "caption_extension": "caption_extension", "prior_loss_weight": "prior_loss_weight",
    "max_token_length": "max_token_length", "weighted_captions": "weighted_captions", "seed": "seed",
    "multires_noise_iterations": "multires_noise_iterations", "multires_noise_discount": "multires_noise_discount",
    "ip_noise_gamma": "ip_noise_gamma", "min_timestep": "min_timestep", "max_timestep": "max_timestep",
    "scale_weight_norms": "scale_weight_norms", "network_dropout": "network_dropout", "full_fp16": "full_fp16",
    "full_bf16": "full_bf16", "caption_dropout_rate": "caption_dropout_rate",
    "caption_tag_dropout_rate": "caption_tag_dropout_rate", "save_last_n_epochs": "save_last_n_epochs",
    "save_every_n_steps": "save_every_n_steps", "max_train_steps": "max_train_steps", "zero_terminal_snr": "zero_terminal_snr",
    "debiased_estimation_loss": "debiased_estimation_loss", "loss_type": "loss_type",
}
FIXED = {  # what the script behind the variables always passes
    "enable_bucket": True, "mixed_precision": "fp16", "save_precision": "fp16", "seed": 1337, "cache_latents": True,
    "prior_loss_weight": 1, "max_token_length": 225, "caption_extension": ".txt", "shuffle_caption": True}
NOT_PASSED = (
    "noise_offset",
    "min_snr_gamma",
    "keep_tokens",
    "lr_warmup_steps",
    "multires_noise_iterations",
    "save_state",
    "stop_text_encoder_training",
    "clip_skip",
)  # a 0 means that the script leaves them out
SIGNS = {
    "pretrained_model",
    "train_data_dir",
    "network_dim",
    "max_train_epoches",
    "unet_lr",
    "text_encoder_lr",
    "batch_size",
    "lr_restart_cycles",
    "train_unet_only",
    "network_module",
    "optimizer_type",
    "save_model_as",
    "config_file",
}
