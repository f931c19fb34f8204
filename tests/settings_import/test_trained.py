"""A file of each dialect, trained to a file: on a tiny model, for two steps and by AdamW, but else with the settings that
came. `--campaign 1` trains them all; the suite, for its time, a few.
"""

import json

import pytest

from lib_sdtune.formats.plain_data import overlaid
from lib_sdtune.settings_import.importer import import_settings
from tests.hosts import TinyHost, train

DESTINATION = {"lora": "models/Lora", "dreambooth": "models/Stable-diffusion", "textual_inversion": "embeddings",
               "hypernetwork": "models/hypernetworks"}
SMALL = {"name": "ron", "model": {"checkpoint": "", "prediction_type": "auto"}, "train": {
            "max_train_steps": 2, "max_train_epochs": 0, "lr_warmup_steps": 0, "mixed_precision": "no", "stop_text_encoder_training": 0,
            "batch_size": 1, "gradient_accumulation_steps": 1, "optimizer": "AdamW", "optimizer_args": {}}, "save": {"precision": "float", "every_n_epochs": 0, "every_n_steps": 0},
         "dataset": {"resolution": 128, "min_bucket_reso": 64, "max_bucket_reso": 192, "enable_bucket": True},
         "sample": {"every_n_epochs": 0, "every_n_steps": 0}, "validation": {"split": 0.0, "every_n_steps": 0}}
EXAMPLES = {
    "sd-scripts TOML": ("a.toml", 'network_module = "networks.lora"\nnetwork_args = ["conv_dim=2", "rank_dropout=0.1"]\nunet_lr = 1e-3\n'
                        'caption_extension = ".txt"\nenable_wildcard = true\nloss_type = "huber"\n', "lora"),
    "sd-scripts embedding": ("a.json", {"pretrained_model_name_or_path": "a.ckpt", "train_data_dir": "x", "token_string": "ron", "learning_rate": 5e-3,
                                        "num_vectors_per_token": 2, "use_object_template": True}, "textual_inversion"),
    "sd-scripts command line": ("train.sh", "accelerate launch train_network.py --network_module=lycoris.kohya \\\n --network_args algo=loha \\\n"
                                " --learning_rate=1e-2 --caption_extension .txt --min_snr_gamma 5\n", "lora"),
    "kohya_ss GUI": ("a.json", {"LoRA_type": "Standard", "network_dim": 4, "network_alpha": 2, "learning_rate": 1e-3, "epoch": 3,
                                "optimizer": "AdamW", "max_resolution": "512,512", "noise_offset": 0.05, "train_batch_size": 2}, "lora"),
    "lora-scripts page": ("a.toml", 'model_train_type = "sd-lora"\nnetwork_dim = 4\nunet_lr = "1e-3"\noptimizer_type = "AdamW"\n'
                          'lr_scheduler = "cosine_with_restarts"\n', "lora"),
    "lora-scripts variables": ("train.ps1", '$pretrained_model = "m.safetensors"\n$train_data_dir = "x"\n$network_dim = 4\n$network_module = '
                               '"networks.lora"\n$lr = "1e-3"\n$optimizer_type = "AdamW"\naccelerate launch "./sd-scripts/train_network.py" $a\n',
                               "lora"),
    "LoRA_Easy_Training_Scripts": ("a.toml", "[network_args.args]\nnetwork_dim = 4\n[optimizer_args.args]\noptimizer_type = 'AdamW'\n"
                                   "unet_lr = 1e-3\n[general_args.args]\nmax_train_epochs = 3\n[[subsets]]\nimage_dir = 'x'\n", "lora"),
    "OneTrainer": ("a.json", {"training_method": "LORA", "model_type": "STABLE_DIFFUSION_15", "learning_rate": 1e-3, "epochs": 3,
                              "timestep_distribution": "LOGIT_NORMAL", "lora_rank": 4}, "lora"),
    "ai-toolkit": ("a.yaml", "job: extension\nconfig:\n  name: ron\n  process:\n  - type: sd_trainer\n    network: {type: lora, linear: 4}\n"
                   "    datasets: [{folder_path: /d/cat}]\n    train: {steps: 9, lr: 1e-3, optimizer: adamw}\n"
                   "    model: {name_or_path: /m/a.safetensors}\n", "lora"),
    "EveryDream2": ("train.json", {"resume_ckpt": "a.ckpt", "data_root": "x", "max_epochs": 4, "lr": 1e-5}, "dreambooth"),
    "sd_dreambooth_extension": ("db_config.json", {"model_name": "m", "use_lora": True, "lora_learning_rate": 1e-3, "lora_unet_rank": 4,
                                                   "num_train_epochs": 3, "half_model": False, "concepts_path": "", "hflip": True}, "lora"),
    "concepts list": ("concepts_list.json", [{"instance_data_dir": "x", "instance_prompt": "ron cat"}], "dreambooth"),
    "WebUI": ("settings.json", {"hypernetwork_name": "h", "learn_rate": "1e-4", "steps": 9, "data_root": "x", "layer_structure": [1, 2, 1],
                                "activation_func": "relu", "training_width": 512, "training_height": 512, "model_name": "v1-5",
                                "template_file": "subject.txt"}, "hypernetwork"),
    "LoRA metadata": ("a.json", {"ss_network_module": "networks.lora", "ss_network_dim": "4", "ss_network_alpha": "2", "ss_unet_lr": "1e-3",
                                 "ss_optimizer": "torch.optim.adamw.AdamW(weight_decay=0.01)", "ss_max_train_steps": "9"}, "lora"),
}


ALWAYS = ("OneTrainer", "WebUI")


@pytest.mark.parametrize("dialect", EXAMPLES)
def test_a_file_of_each_dialect_is_trained(dialect, images, tmp_path, request):
    if dialect not in ALWAYS and not request.config.getoption("--campaign", 0):
        pytest.skip("trained with --campaign 1")
    name, content, method = EXAMPLES[dialect]
    if name.endswith(".yaml"):
        pytest.importorskip("yaml")
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    config = import_settings([path], str(images), "ron").config
    assert config["method"] == method
    host = TinyHost(tmp_path / "data")
    control = train(host, overlaid(SMALL, config))
    assert control.state == "finished", control.message
    assert [file.stem for file in (tmp_path / "data" / DESTINATION[method]).iterdir() if file.suffix != ".json"] == ["ron"]
