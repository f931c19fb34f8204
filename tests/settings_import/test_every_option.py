"""Every row of the table that says what an option of sd-scripts is here: a value that is not the default arrives there.

A row of which a case is missing fails; so does one whose value changes nothing.
"""

import json
from functools import cache

import pytest

from lib_sdtune.settings_import.documents import parse
from lib_sdtune.settings_import.importer import import_documents
from lib_sdtune.settings_import.sd_scripts.options import BY_NAME, OPTIONS

SCRIPTS = {
    "n": {"network_module": "networks.lora", "train_data_dir": "p", "output_name": "a"},
    "d": {"pretrained_model_name_or_path": "a.safetensors", "train_data_dir": "p", "output_name": "a"},
    "t": {"token_string": "cat", "init_word": "cat", "train_data_dir": "p", "output_name": "a"},
}
SAME = {  # option -> value; CONFIG has the same value
    "enable_bucket": True, "min_bucket_reso": 320, "max_bucket_reso": 1536, "bucket_reso_steps": 32,
    "bucket_no_upscale": True, "flip_aug": True, "random_crop": True, "alpha_mask": True, "masked_loss": True,
    "caption_extension": ".tags", "shuffle_caption": True, "keep_tokens": 2, "keep_tokens_separator": "|||",
    "secondary_separator": ";;;", "enable_wildcard": True, "caption_prefix": "a", "caption_suffix": "b",
    "caption_dropout_rate": 0.1, "caption_dropout_every_n_epochs": 3, "caption_tag_dropout_rate": 0.2,
    "token_warmup_min": 4, "token_warmup_step": 200.0, "max_token_length": 150, "weighted_captions": True,
    "network_dim": 7, "network_alpha": 3.0, "network_dropout": 0.3, "scale_weight_norms": 2.0, "unet_lr": 3e-4,
    "optimizer_type": "Lion", "lr_scheduler": "linear", "lr_scheduler_type": "rex", "lr_warmup_steps": 11,
    "lr_scheduler_num_cycles": 3, "lr_scheduler_power": 2.0, "lr_scheduler_timescale": 50,
    "lr_scheduler_min_lr_ratio": 0.1, "max_grad_norm": 0.5, "train_batch_size": 3, "gradient_accumulation_steps": 4,
    "max_train_steps": 900, "max_train_epochs": 5, "seed": 7, "mixed_precision": "fp16", "noise_offset": 0.05,
    "multires_noise_iterations": 6, "multires_noise_discount": 0.4, "ip_noise_gamma": 0.1,
    "noise_offset_random_strength": True, "ip_noise_gamma_random_strength": True, "min_timestep": 100,
    "max_timestep": 900, "loss_type": "huber", "huber_c": 0.2, "huber_schedule": "constant", "huber_scale": 2.0,
    "min_snr_gamma": 5.0, "debiased_estimation_loss": True, "v_pred_like_loss": 0.1, "prior_loss_weight": 0.5,
    "save_precision": "bf16", "save_every_n_epochs": 2, "save_every_n_steps": 250, "sample_every_n_epochs": 1,
    "sample_every_n_steps": 100, "validation_split": 0.1, "clip_skip": 2, "output_name": "ron", "token_string": "ron",
    "init_word": "dog", "num_vectors_per_token": 4, "scale_v_pred_loss_like_noise_pred": True,
    "zero_terminal_snr": True, "pretrained_model_name_or_path": "b.safetensors", "save_last_n_epochs": 3,
}
BESIDE = {  # what an option wants beside it
    "scale_v_pred_loss_like_noise_pred": {"v_parameterization": True}, "zero_terminal_snr": {"v_parameterization": True},
    "lr_warmup_steps": {"lr_scheduler": "cosine"}, "max_train_epochs": {"max_train_steps": 100},
}
ADAM8 = [("train.optimizer", "AdamW8bit")]
OTHERWISE = {  # option -> [(options, [(path, value)])]
    "v_parameterization": [({"v_parameterization": True}, [("model.prediction_type", "v_prediction")])],
    "train_data_dir": [({"train_data_dir": "q"}, [("concepts.0.images", "q")])],
    "reg_data_dir": [({"reg_data_dir": "r/5_cat"}, [("concepts.0.class_images", "r/5_cat"), ("concepts.0.class_prompt", "cat")])],
    "dataset_repeats": [({"in_json": "a.json", "dataset_repeats": 6}, [("concepts.0.repeats", 6)])],
    "dataset_config": [({"dataset_config": "data.toml"}, [("concepts.0.images", "pics"), ("concepts.0.repeats", 9),
                                                          ("dataset.keep_tokens", 2)])],
    "conditioning_data_dir": [({"conditioning_data_dir": "m"}, [("concepts.0.conditioning_data_dir", "m")])],
    "resolution": [({"resolution": "768"}, [("dataset.resolution", 768)]), ({"resolution": "512,1152"}, [("dataset.resolution", 768)])],
    "cache_latents": [({"cache_latents": True}, [("dataset.cache_latents", True), ("dataset.latent_sampling", "once")])],
    "cache_latents_to_disk": [({"cache_latents_to_disk": True}, [("dataset.cache_latents", True),
                                                                 ("dataset.latent_sampling", "once")])],
    "caption_extention": [({"caption_extention": ".tags"}, [("dataset.caption_extension", ".tags")])],
    "network_module": [({"network_module": "networks.loha"}, [("lora.network", "loha")]),
                       ({"network_module": "networks.oft"}, [("lora.network", "diag-oft")])],
    "network_args": [({"network_args": ["conv_dim=5", "conv_alpha=2"]}, [("lora.conv_dim", 5), ("lora.conv_alpha", 2.0)]),
                     ({"network_module": "lycoris.kohya", "network_args": ["algo=ia3"]}, [("lora.network", "ia3")])],
    "network_alpha": [({"network_alpha": 0, "network_dim": 6}, [("lora.alpha", 6.0)])],
    "network_weights": [({"network_weights": "x/first.safetensors"}, [("lora.init_file", "first")])],
    "base_weights": [({"base_weights": ["x/b.safetensors"]}, [("model.base_loras", [["b", 1.0]])])],
    "base_weights_multiplier": [({"base_weights": ["b.safetensors"], "base_weights_multiplier": [0.5]},
                                 [("model.base_loras", [["b", 0.5]])])],
    "weights": [({"weights": "x/cat.pt"}, [("textual_inversion.init_embedding", "cat")])],
    "use_object_template": [({"use_object_template": True}, [("concepts.0.prompt", "subject.txt")])],
    "use_style_template": [({"use_style_template": True}, [("concepts.0.prompt", "style.txt")])],
    "use_8bit_adam": [({"use_8bit_adam": True}, ADAM8)],
    "use_lion_optimizer": [({"use_lion_optimizer": True}, [("train.optimizer", "Lion")])],
    "optimizer_type": [({"optimizer_type": "AdamW8bit"}, ADAM8)],
    "optimizer_args": [({"optimizer_args": ["weight_decay=0.1", "betas=0.9,0.99"]},
                        [("train.optimizer_args", {"weight_decay": 0.1, "betas": [0.9, 0.99]})])],
    "learning_rate": [({"learning_rate": 3e-4}, [("lora.unet_lr", 3e-4), ("lora.text_encoder_lr", 3e-4)]),
                      ({"learning_rate": 3e-4}, [("dreambooth.unet_lr", 3e-4), ("dreambooth.text_encoder_lr", 3e-4)]),
                      ({"learning_rate": 3e-4}, [("textual_inversion.lr", 3e-4)])],
    "text_encoder_lr": [({"text_encoder_lr": [4e-5]}, [("lora.text_encoder_lr", 4e-5)])],
    "learning_rate_te": [({"learning_rate_te": 4e-5}, [("dreambooth.text_encoder_lr", 4e-5)])],
    "network_train_unet_only": [({"network_train_unet_only": True}, [("lora.text_encoder_lr", 0.0)])],
    "network_train_text_encoder_only": [({"network_train_text_encoder_only": True}, [("lora.unet_lr", 0.0)])],
    "cache_text_encoder_outputs": [({"cache_text_encoder_outputs": True}, [("lora.text_encoder_lr", 0.0)])],
    "cache_text_encoder_outputs_to_disk": [({"cache_text_encoder_outputs_to_disk": True}, [("lora.text_encoder_lr", 0.0)])],
    "stop_text_encoder_training": [({"stop_text_encoder_training": 30}, [("train.stop_text_encoder_training", 30)]),
                                   ({"stop_text_encoder_training": -1}, [("dreambooth.text_encoder_lr", 0.0)])],
    "lr_warmup_steps": [({"lr_warmup_steps": "10%", "lr_scheduler": "cosine"}, [("train.lr_warmup_steps", 160)])],
    "lr_decay_steps": [({"lr_decay_steps": 40, "lr_scheduler": "warmup_stable_decay"}, [("train.lr_decay_steps", 40)])],
    "full_bf16": [({"full_bf16": True, "mixed_precision": "bf16"}, [("dreambooth.weights", "bfloat16")])],
    "gradient_checkpointing": [({"gradient_checkpointing": True}, [("train.gradient_checkpointing", "on")])],
    "adaptive_noise_scale": [({"adaptive_noise_scale": 0.01, "noise_offset": 0.05}, [("noise.adaptive_noise_scale", 0.01)])],
    "save_model_as": [({"save_model_as": "safetensors"}, [("textual_inversion.save_model_as", "safetensors")])],
    "save_n_epoch_ratio": [({"save_n_epoch_ratio": 2, "max_train_epochs": 10}, [("save.every_n_epochs", 5)])],
    # at step 50 that of step 10 goes where 30 steps of files every 10 stay: library/train_util.py, get_remove_step_no
    "save_last_n_steps": [({"save_last_n_steps": 250, "save_every_n_steps": 100}, [("save.keep_last", 3)]),
                          ({"save_last_n_steps": 30, "save_every_n_steps": 10}, [("save.keep_last", 4)]),
                          ({"save_last_n_steps": 29, "save_every_n_steps": 10}, [("save.keep_last", 3)])],
    "save_state": [({"save_state": True, "save_every_n_steps": 250}, [("save.state_every_n_steps", 250)])],
    "sample_prompts": [({"sample_prompts": "prompts.txt"}, [("sample.prompts", ["a cat --n dog"])])],
    "validate_every_n_steps": [({"validate_every_n_steps": 20, "validation_split": 0.2}, [("validation.every_n_steps", 20)])],
}
MAPPED = [option for option in OPTIONS if option.to]
FILES = {"data.toml": "[general]\nkeep_tokens = 2\n[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'pics'\nnum_repeats = 9\n",
         "prompts.txt": "a cat --n dog\n"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings")
    for name, content in FILES.items():
        (path / name).write_text(content, encoding="utf-8")
    return path


def cases(option):
    """(script, options, [(path, value)]) of a row."""
    if option.name in SAME:
        value = SAME[option.name]
        for script in option.scripts:
            options = BESIDE.get(option.name, {}) | {option.name: value}
            yield script, options, [(option.to.replace("concepts[]", "concepts.0"), value)]
    for options, expected in OTHERWISE.get(option.name, ()):
        sections = {path.partition(".")[0] for path, _ in expected}
        of_methods = {"lora": "n", "dreambooth": "d", "textual_inversion": "t"}
        script = next((of_methods[section] for section in sections if section in of_methods), option.scripts[0])
        yield script, options, expected


def config_of(script, options, folder):
    return imported(json.dumps(SCRIPTS[script] | options), folder)


@cache
def imported(text, folder):
    return import_documents([parse(folder / "a.json", text)], base=folder).config


def at(config, path):
    for part in path.split("."):
        config = config[int(part)] if part.isdigit() else config.get(part)
    return config


@pytest.mark.parametrize("option", MAPPED, ids=lambda option: option.name)
def test_a_value_that_is_not_the_default_arrives(option, folder):
    rows = list(cases(option))
    assert rows, f"no case for {option.name}"
    for script, options, expected in rows:
        plain, config = (config_of(script, each, folder) for each in ({}, options))
        for path, value in expected:
            assert at(config, path) == value, (script, path)
        assert any(at(plain, path) != value for path, value in expected), f"{option.name} changes nothing"


def test_there_are_no_cases_of_other_options():
    assert {*SAME, *OTHERWISE, *BESIDE} <= {option.name for option in MAPPED}
    assert all(BY_NAME[name].scripts for name in SAME)
