"""Whatever values a file has: the import gives a CONFIG that `Config` takes, or one sentence, and every key is told."""

import copy
import random

import pytest

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import.sd_scripts.kohya_gui import NETWORK_ARGUMENTS, PAGES, RENAMED, TYPES
from lib_sdtune.settings_import.sd_scripts.options import OPTIONS, OTHERS

VALUES = ["", 0, 1, -1, "0", "1", 2.5, "1e-4", "abc", True, False, None, "True", "False", [], ["a=1"], 10**12, -5.5, "512,768",
          "0.1", 0.1, "10%", "cosine", "Prodigy", "nan", float("inf"), "../x", "\u8bad\u7ec3", 100000, [1, 2], "None"]
SD_SCRIPTS = [option.name for option in (*OPTIONS, *OTHERS)]
GUI = [*SD_SCRIPTS, *RENAMED, *NETWORK_ARGUMENTS, *(option.name for option in PAGES), "lr_warmup", "epoch", "additional_parameters"]


@pytest.mark.parametrize("seed", range(60))
def test_any_values(imported, seed):
    rng = random.Random(seed)
    gui = seed % 2
    names = GUI if gui else SD_SCRIPTS
    start = {"LoRA_type": rng.choice(list(TYPES)), "max_resolution": "512,512", "lr_warmup": 5} if gui else {
        "network_module": rng.choice(["networks.lora", "lycoris.kohya", ""]), "train_data_dir": "x", "output_name": "y"}
    settings = {**start, **{name: rng.choice(VALUES) for name in rng.sample(names, 60)}}
    for name in ("flux1_checkbox", "sd3_checkbox"):
        settings[name] = False
    settings.pop("network_module" if gui else "", None)
    try:
        _, text = imported({"a.json": settings})
    except UserError as error:
        assert "\n" not in str(error)
        return
    unmentioned = [key for key in settings if key not in text and not key.endswith("_checkbox")]
    assert unmentioned == []


ONE_TRAINER = {"training_method": "LORA", "model_type": "STABLE_DIFFUSION_15", "resolution": "512", "learning_rate": 1e-4, "batch_size": 4, "epochs": 20,
               "gradient_accumulation_steps": 2, "learning_rate_warmup_steps": 100, "text_encoder_layer_skip": 1, "lora_rank": 8, "lora_alpha": 2,
               "min_noising_strength": 0.1, "mae_strength": 1.0, "loss_weight_fn": "MIN_SNR_GAMMA", "loss_weight_strength": 5, "ema": "GPU", "ema_decay": 0.9,
               "save_every": 5, "save_every_unit": "EPOCH", "text_encoder": {"train": True, "stop_training_after": 5, "stop_training_after_unit": "EPOCH"},
               "optimizer": {"optimizer": "ADAMW", "beta1": 0.9}, "concepts": [{"path": "x", "balancing": 2, "text": {"keep_tags_count": 2}, "image": {}}]}
AI_TOOLKIT = {"network": {"type": "lora", "linear": 4, "linear_alpha": 2, "conv": 2, "conv_alpha": 1}, "model": {"name_or_path": "a.safetensors"},
              "datasets": [{"folder_path": "x", "num_repeats": 2, "resolution": [512, 768], "cache_latents": True, "keep_tokens": 1}],
              "train": {"steps": 9, "lr": 1e-4, "gradient_accumulation_steps": 2, "lr_scheduler_params": {"num_warmup_steps": 5},
                        "ema_config": {"use_ema": True, "ema_decay": 0.9}}, "sample": {"sample_every": 100, "prompts": ["a"]}, "save": {"save_every": 5}}
WEBUI = {"learn_rate": "0.005:100, 1e-3", "batch_size": 2, "gradient_step": 3, "steps": 800, "training_width": 512, "training_height": 768,
         "clip_grad_mode": "norm", "clip_grad_value": "0.5", "preview_prompt": "a", "preview_seed": 5}
PROGRAMS = {
    "OneTrainer": ONE_TRAINER,
    "ai-toolkit": {"job": "extension", "config": {"name": "ron", "process": [{"type": "sd_trainer", **AI_TOOLKIT}]}},
    "ai-toolkit, embedding": {"job": "extension", "config": {"name": "ron", "process": [
        {"type": "textual_inversion_trainer", "embedding": {"trigger": "ron", "tokens": 4}, "train": {"steps": 9, "lr": 1e-4}}]}},
    "ai-toolkit, model": {"job": "extension", "config": {"process": [{"type": "sd_trainer", **{
        key: value for key, value in AI_TOOLKIT.items() if key != "network"}}]}},
    "EveryDream2": {"resume_ckpt": "a.ckpt", "data_root": "x", "max_epochs": 4, "lr": 1e-5, "lr_scheduler": "cosine", "lr_warmup_steps": 10,
                    "lr_decay_steps": 900, "seed": 7, "sample_steps": 300, "flip_p": 0.2, "pyramid_noise_discount": 0.03, "scale_lr": True, "batch_size": 8},
    "EveryDream2, optimizer": {"base": {"optimizer": "lion", "lr": 1e-6, "lr_scheduler": "cosine", "lr_decay_steps": 9, "betas": [0.9, 0.95], "weight_decay": 0.1},
                               "text_encoder_overrides": {"lr": 5e-7, "text_encoder_lr_scale": 0.5}, "text_encoder_freezing": {"unfreeze_last_n_layers": 2}},
    "sd_dreambooth_extension": {"model_name": "m", "use_lora": True, "lora_learning_rate": 1e-3, "lora_unet_rank": 4, "lora_txt_rank": 8, "num_train_epochs": 3,
                                "half_model": False, "max_train_steps": 5, "lr_warmup_steps": 5, "stop_text_encoder": 0.75, "sanity_seed": 5, "sanity_prompt": "a",
                                "adam_beta1": 0.9, "adam_beta2": 0.98, "adam_epsilon": 1e-8, "weight_decay": 0.1, "resolution": 512},
    "concepts": [{"instance_data_dir": "x", "class_data_dir": "y", "class_prompt": "cat", "num_class_images": 5, "num_class_images_per": 2,
                  "save_sample_prompt": "a", "save_guidance_scale": 7, "save_infer_steps": 20, "sample_seed": 5}],
    "WebUI, embedding": {**WEBUI, "embedding_name": "e", "num_vectors_per_token": 4, "save_embedding_every": 50},
    "WebUI, hypernetwork": {**WEBUI, "hypernetwork_name": "h", "layer_structure": [1, 2, 1], "save_hypernetwork_every": 50},
    "metadata": {"ss_network_module": "networks.lora", "ss_network_dim": "4", "ss_network_alpha": "2", "ss_unet_lr": "1e-3", "ss_max_train_steps": "9",
                 "ss_resolution": "(512, 512)", "ss_optimizer": "torch.optim.adamw.AdamW(weight_decay=0.01)", "ss_lr_warmup_steps": "3", "ss_seed": "5"}}
ODD = ["abc", "", None, [], [1, 2], {}, {"a": 1}, [None], -1, 10**400, "9" * 400, 1e308, "../x", True]


def places(data, path=()):
    """The path of every value in it, groups and lists too."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_value_is_more_than_a_sentence(imported, program):
    for number, path in enumerate(places(PROGRAMS[program])):
        for value in random.Random(number).sample(ODD, 4):
            settings = copy.deepcopy(PROGRAMS[program])
            group = settings
            for key in path[:-1]:
                group = group[key]
            group[path[-1]] = value
            try:
                imported({"a.json": settings})
            except UserError as error:
                assert "\n" not in str(error)
