"""Options of sd-scripts for logs, uploads, metadata and several machines."""

from lib_sdtune.settings_import.option import Option
from lib_sdtune.settings_import.sd_scripts.options.unneeded import CARD, LOGGING, UPLOAD, WORKERS

REPORTING = [
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
