"""The metadata of our files: kohya's ss_* keys as the WebUI's Lora tab reads them, and Stability's modelspec.

Nothing in it depends on the clock or the machine, so that the same run gives the same bytes, and no path of the user's
disk gets into a file that may be shared. Sources: sd-scripts' train_network.py and sai_model_spec.py; the WebUI's
extensions-builtin/Lora/network.py and ui_edit_user_metadata.py.
"""

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import PurePath
from typing import Any

import torch

from lib_sdtune import __version__
from lib_sdtune.devices import compute_dtype
from lib_sdtune.families.base import Family
from lib_sdtune.families.variant import Variant
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.sections.concept import Concept, names_template
from lib_sdtune.sections.general import GeneralConfig

PRECISIONS = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "no"}
"""What sd-scripts' mixed_precision calls the number format that the forward computes in."""

BASE_MODEL = ("ss_base_model_version", "ss_v2", "modelspec.architecture", "modelspec.implementation",
              "modelspec.resolution", "modelspec.prediction_type")
"""The keys of `base_model`."""


def describe(config: GeneralConfig, model: Any, method: Any, training_data: Any, stem: str,
             step: int) -> dict[str, str]:
    """All metadata of the file `stem`, str -> str; the WebUI wants JSON objects where it parses, plain text elsewhere.
    """
    facts: dict[str, Any] = base_model(model.family, model.variant, method.kind, config.dataset.resolution)
    precision = compute_dtype(config.train.mixed_precision, model.device, method.dtype)
    facts |= {"ss_mixed_precision": PRECISIONS[precision], "ss_optimizer": optimizer(config)}
    facts |= recipe(config, step, training_data) | pictures(training_data) | method.metadata()
    facts |= {"ss_output_name": stem, "ss_sd_model_name": model.name, "ss_sd_model_hash": model.hash[:10],
              "ss_new_sd_model_hash": model.sha256 or None, "sdtune_version": __version__,
              "sdtune_config": shared_config(config)}
    facts["ss_session_id"] = session_id(config)
    return {key: printed(value) for key, value in (facts | modelspec(config, method, stem)).items()
            if value is not None}


def optimizer(config: GeneralConfig) -> str:
    """Its name with the arguments that were set, "AdamW(weight_decay=0.1)", as sd-scripts writes it."""
    arguments = ",".join(f"{key}={value}" for key, value in config.train.optimizer_args.items())
    return config.train.optimizer + (f"({arguments})" if arguments else "")


def session_id(config: GeneralConfig) -> int:
    """A number that every file of a run carries, the same for the same settings."""
    return int(sha256(printed(shared_config(config)).encode()).hexdigest()[:8], 16)


def base_model(family: Family, variant: Variant, kind: str, side: int) -> dict[str, str]:
    """What says of a file of that kind (a key of `KINDS`) which model it is for; side: pixels it was trained at."""
    label = KINDS[kind].modelspec
    return {"ss_base_model_version": family.version(variant), "ss_v2": str(family.is_v2),
            "modelspec.architecture": family.architecture_of(variant) + (f"/{label}" if label else ""),
            "modelspec.implementation": family.lora_implementation if kind == "lora" else family.implementation,
            "modelspec.resolution": f"{side}x{side}",
            "modelspec.prediction_type": "v" if variant.prediction_type == "v_prediction" else "epsilon"}


def recipe(config: GeneralConfig, step: int, training_data: Any) -> dict[str, Any]:
    """kohya's keys of the settings and of the step."""
    train, noise, loss, data = config.train, config.noise, config.loss, config.dataset
    return {
        "ss_steps": step,
        "ss_epoch": training_data.epoch(step)[0],
        "ss_max_train_steps": training_data.total_steps(),
        "ss_num_epochs": training_data.epoch(training_data.total_steps())[0],
        "ss_num_batches_per_epoch": training_data.dataset.batches_per_epoch,
        "ss_batch_size_per_device": train.batch_size,
        "ss_total_batch_size": train.batch_size * training_data.world.size,
        "ss_gradient_accumulation_steps": train.gradient_accumulation_steps,
        "ss_seed": train.seed,
        "ss_lr_scheduler": train.lr_scheduler,
        "ss_lr_warmup_steps": train.lr_warmup_steps,
        "ss_max_grad_norm": train.max_grad_norm,
        "ss_clip_skip": config.model.clip_skip,
        "ss_noise_offset": noise.noise_offset,
        "ss_multires_noise_iterations": noise.multires_noise_iterations,
        "ss_noise_offset_random_strength": noise.noise_offset_random_strength or None,
        "ss_adaptive_noise_scale": noise.adaptive_noise_scale or None,
        "ss_ip_noise_gamma_random_strength": noise.ip_noise_gamma_random_strength or None,
        "ss_ip_noise_gamma": noise.ip_noise_gamma,
        "ss_zero_terminal_snr": noise.zero_terminal_snr,
        "ss_prior_loss_weight": loss.prior_loss_weight,
        "ss_min_snr_gamma": loss.min_snr_gamma or None,
        "ss_loss_type": loss.loss_type,
        "ss_debiased_estimation": loss.debiased_estimation,
        "ss_caption_dropout_rate": data.caption_dropout_rate,
        "ss_caption_tag_dropout_rate": data.caption_tag_dropout_rate,
        "ss_caption_dropout_every_n_epochs": data.caption_dropout_every_n_epochs or None,
        "ss_shuffle_caption": data.shuffle_caption,
        "ss_keep_tokens": data.keep_tokens,
        "ss_flip_aug": data.flip_aug,
        "ss_random_crop": data.random_crop,
        "ss_enable_bucket": data.enable_bucket,
        "ss_min_bucket_reso": None if data.bucket_no_upscale else data.min_bucket_reso,
        "ss_max_bucket_reso": None if data.bucket_no_upscale else data.max_bucket_reso,
        "ss_bucket_no_upscale": data.bucket_no_upscale,
        "ss_resolution": f"({data.resolution}, {data.resolution})",
        "ss_cache_latents": data.cache_latents,
    }


def pictures(training_data: Any) -> dict[str, Any]:
    """Counts by folder and bucket, and how often each tag stands in the captions (once per picture, as kohya counts),
    without the pictures that are held out for validation.
    """
    trained = [p for p in training_data.dataset.pictures if not p.is_class]
    regular = [p for p in training_data.dataset.pictures if p.is_class]
    sizes = enumerate(training_data.dataset.bucket_counts.items())
    buckets = {str(number): {"resolution": list(size), "count": count} for number, (size, count) in sizes}
    return {"ss_num_train_images": sum(p.repeats for p in trained),
            "ss_num_reg_images": sum(p.repeats for p in regular),
            "ss_dataset_dirs": folders(trained), "ss_reg_dataset_dirs": folders(regular) or None,
            "ss_tag_frequency": training_data.scan.tag_frequency(trained), "ss_bucket_info": {"buckets": buckets}}


def folders(pictures: Iterable[Any]) -> dict[str, dict[str, int]]:
    """Folder -> its repeats and the number of its pictures."""
    names: dict[str, dict[str, int]] = {}
    for picture in pictures:
        entry = names.setdefault(picture.folder, {"n_repeats": picture.repeats, "img_count": 0})
        entry["img_count"] += 1
    return names


def shared_config(config: GeneralConfig) -> dict[str, Any]:
    """The config as it may be shown to others: paths cut down to their last part."""
    settings = config.to_dict()
    for concept in settings["concepts"]:
        for key in (*Concept.FOLDERS, *["prompt"] * names_template(concept["prompt"])):
            concept[key] = PurePath(concept[key]).name
    settings["validation"]["images"] = PurePath(settings["validation"]["images"]).name
    settings["model"]["checkpoint"] = PurePath(settings["model"]["checkpoint"]).name
    return settings


def modelspec(config: GeneralConfig, method: Any, stem: str) -> dict[str, Any]:
    """https://github.com/Stability-AI/ModelSpec beside `base_model`, without its date."""
    return {"modelspec.sai_model_spec": "1.0.1", "modelspec.title": stem,
            "modelspec.encoder_layer": config.model.clip_skip,
            "modelspec.timestep_range": f"{config.noise.min_timestep},{config.noise.max_timestep}",
            "modelspec.trigger_phrase": method.activation_text() or None}


def printed(value: Any) -> str:
    """As a safetensors header has it: objects as JSON."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return str(value)
