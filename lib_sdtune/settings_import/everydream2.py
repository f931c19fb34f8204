"""EveryDream2trainer's names, as tables (victorchall/EveryDream2trainer at 5098db8)."""

from lib_sdtune.settings_import.option import Option

LOSSES = {"mse": "l2", "huber": "huber", "mse_huber": "huber"}
PLACES = "chose folders, or what is written there; where files go is fixed here"
MACHINE = "concerned the machine alone and changes no result"

OPTIONS = [
    Option("batch_size", int, 2, "train.batch_size"), Option("grad_accum", int, 1, "train.gradient_accumulation_steps"),
    Option("max_epochs", int, 300, "train.max_train_epochs"), Option("resolution", int, 512, "dataset.resolution"),
    Option("cond_dropout", float, 0.04, "dataset.caption_dropout_rate"),
    Option("shuffle_tags", bool, False, "dataset.shuffle_caption"),
    Option("clip_skip", int, 1, "model.clip_skip", convert=lambda value: max(1, value)),
    Option("clip_grad_norm", float, 0.0, "train.max_grad_norm"),
    Option("gradient_checkpointing", bool, False, "train.gradient_checkpointing",
           convert=lambda value: "on" if value else "off"),
    Option("min_snr_gamma", float, 0.0, "loss.min_snr_gamma"),
    Option("zero_frequency_noise_ratio", float, 0.02, "noise.noise_offset"),
    Option("enable_zero_terminal_snr", bool, False, "noise.zero_terminal_snr"),
    Option("timestep_start", int, 0, "noise.min_timestep"), Option("timestep_end", int, 1000, "noise.max_timestep"),
    Option("save_every_n_epochs", int, 0, "save.every_n_epochs"),
    Option("embedding_perturbation", float, 0.0, how="added noise to the captions' vectors"),
    Option("ckpt_every_n_minutes", float, None, how="saved by the clock; here by epochs or steps"),
    Option("save_ckpts_from_n_epochs", int, 0, how="saved nothing before that epoch"),
    Option("rated_dataset", bool, False, how="left out more of the badly rated pictures with time"),
    Option("rated_dataset_target_dropout_percent", int, 50, how="belonged to rated_dataset"),
    Option("scale_lr", bool, False, how="", group="rates"),
    *[Option(name, str, None, how="kept an average of the weights in another rhythm; dreambooth.ema_decay is the nearest")
      for name in ("ema_decay_rate", "ema_strength_target", "ema_update_interval")],
    *[Option(name, str, None, how="belonged to the average of the weights") for name in (
        "ema_device", "ema_sample_nonema_model", "ema_sample_ema_model", "ema_resume_model")],
    *[Option(name, str, None, how=MACHINE) for name in ("attn_type", "gpuid")],
    *[Option(name, bool, False, how=MACHINE) for name in ("disable_xformers", "lowvram", "load_settings_every_epoch", "notebook")],
    *[Option(name, str, None, how=PLACES) for name in (
        "logdir", "save_ckpt_dir", "run_name", "log_step", "save_optimizer", "wandb", "write_schedule", "save_full_precision")],
    Option("ed1_mode", bool, False, how="read the pictures as an older version did"),
]
