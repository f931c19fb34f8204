"""Scripts: command lines of three shells, and the variables of lora-scripts; nothing of them is executed."""

import pytest

from lib_sdtune.settings_import import command_lines

SH = """#!/bin/bash
# a comment --network_dim=1
NAME="ron v1"
accelerate launch --num_cpu_threads_per_process 1 --mixed_precision bf16 train_network.py \\
  --pretrained_model_name_or_path="/m/a.safetensors" --output_name "$NAME" \\
  --network_module=networks.lora --network_dim 16 --network_args "conv_dim=4" "conv_alpha=1" \\
  --learning_rate=$(python -c 'print(1)') --unet_lr 1e-4 --cache_latents --train_data_dir ./img \\
  --optimizer_args "betas=0.9,0.99" weight_decay=0.1
"""
BAT = ("@echo off\r\nrem --network_dim=1\r\nset NAME=ron\r\nset \"BASE=E:\\models\\a.ckpt\"\r\n"
       "accelerate launch ^\r\n  E:\\sd-scripts\\sdxl_train_network.py ^\r\n  --output_name=%NAME%-x ^--network_dim=8 ^\r\n"
       "  --pretrained_model_name_or_path=%BASE% ^\r\n  --network_module=networks.lora --clip_skip 2\r\n")
PS1 = """$dim = 24
$name = "ron"
accelerate launch "./sd-scripts/train_db.py" `
  --output_name=$name --max_train_steps=$dim `
  --learning_rate=2e-6 --train_batch_size $missing
"""


def test_a_shell_script(imported):
    config, text = imported({"train.sh": SH})
    assert config["name"] == "ron v1" and config["lora"]["dim"] == 16 and config["lora"]["conv_dim"] == 4
    assert config["lora"]["unet_lr"] == 1e-4 and config["concepts"][0]["images"] == "./img"
    assert config["train"]["optimizer_args"] == {"betas": [0.9, 0.99], "weight_decay": 0.1}
    assert config["train"]["mixed_precision"] == "no" and "accelerate --mixed_precision" in text
    assert "--learning_rate" in text and "computed by the script" in text


def test_a_batch_file(imported):
    config, text = imported({"train.bat": BAT})
    assert config["name"] == "ron-x" and config["lora"]["dim"] == 8 and config["model"]["checkpoint"] == "E:\\models\\a.ckpt"
    assert config["model"]["clip_skip"] == 1 and "--clip_skip = 2" in text  # SDXL has none
    assert config["dataset"]["resolution"] == 1024


def test_a_powershell_script(imported):
    config, text = imported({"train.ps1": "\ufeff" + PS1})
    assert config["method"] == "dreambooth" and config["name"] == "ron" and config["train"]["max_train_steps"] == 24
    assert config["train"]["batch_size"] == 1 and "--train_batch_size = $missing" in text


def test_a_command_with_its_config_file(imported):
    config, text = imported({"train.sh": 'accelerate launch train_network.py --config_file="./a.toml" --network_dim=8',
                             "_a.toml": 'network_module = "networks.lora"\nnetwork_dim = 32\nnetwork_alpha = 4'})
    assert config["lora"]["dim"] == 8 and config["lora"]["alpha"] == 4 and "contradict" in text


VARIABLES = """# LoRA train script
$pretrained_model = "./sd-models/model.ckpt" # base model
$train_data_dir = "./train/aki"   # '"
$reg_data_dir = ""
$network_module = "networks.lora"
$network_dim = 32
$network_alpha = 16
$resolution = "512,768"
$batch_size = 2
$max_train_epoches = 10
$train_unet_only = 1
$noise_offset = 0
$lr = 1e-4 * $batch_size
$unet_lr = "2e-4"
$text_encoder_lr = "1e-5"
$lr_scheduler = "cosine_with_restarts"
$lr_restart_cycles = 3
$optimizer_type = "Lion"
$output_name = "aki"
$stop_text_encoder_training = 200
$algo = "loha"
$conv_dim = 4
$wandb_api_key = "topsecret"
$is_v2_model = 0
$fancy = 7
accelerate launch --num_processes=2 "./sd-scripts/train_network.py" $ext_args
"""


def test_lora_scripts_variables(imported):
    config, text = imported({"train.ps1": "\ufeff" + VARIABLES})
    assert config["name"] == "aki" and config["lora"]["network"] == "lora" and config["lora"]["dim"] == 32
    assert config["lora"]["unet_lr"] == 2e-4 and config["lora"]["text_encoder_lr"] == 0
    assert config["train"]["max_train_epochs"] == 10 and config["train"]["lr_scheduler_num_cycles"] == 3
    assert config["train"]["seed"] == 1337 and config["dataset"]["enable_bucket"] is True  # fixed in the script
    assert config["dataset"]["shuffle_caption"] is True and config["dataset"]["max_token_length"] == 225
    assert config["train"]["optimizer"] == "Lion" and config["concepts"][0]["repeats"] is None
    assert "$lr" in text and "computed" in text and "$fancy = 7" in text
    assert "topsecret" not in text and "forks differ" in text


def test_variables_of_a_shell_script_with_lycoris(imported):
    text = VARIABLES.replace("$", "").replace(" = ", "=").replace("networks.lora", "lycoris.kohya").replace("unet_only=1", "unet_only=0")
    config, _ = imported({"train.sh": text})
    assert config["lora"]["network"] == "loha" and config["lora"]["conv_dim"] == 4
    assert config["lora"]["text_encoder_lr"] == 1e-5


def test_the_page_of_lora_scripts(imported):
    config, text = imported({"a.toml": """
model_train_type = "sdxl-lora"
pretrained_model_name_or_path = "./a.safetensors"
train_data_dir = "./train"
network_module = "lycoris.kohya"
lycoris_algo = "lokr"
network_dim = 16
conv_dim = 8
conv_alpha = 1
lokr_factor = 4
optimizer_type = "Prodigy"
prodigy_d_coef = "2.0"
positive_prompts = "a cat"
negative_prompts = "ugly"
sample_width = 768
sample_cfg = 6
unet_lr = 1
text_encoder_lr = 1
resolution = "1024,1024"
ui_custom_params = "network_dim = 12"
"""})
    assert config["lora"]["network"] == "lokr" and config["lora"]["dim"] == 12 and config["lora"]["conv_dim"] == 8
    assert config["train"]["optimizer_args"] == {"d_coef": 2.0} and "factor = 4" in text
    assert config["sample"]["prompts"] == ["a cat --n ugly --w 768 --l 6"]


@pytest.mark.parametrize("line, words", [
    ('a --x="b c" d', ["a", "--x=b c", "d"]), ("--p 'x y'", ["--p", "x y"]), ('"C:\\a b\\c.py" --q', ["C:\\a b\\c.py", "--q"])])
def test_words(line, words):
    assert command_lines.words(line) == words


def test_flags():
    assert command_lines.flags(["--a", "1", "--b", "--c=2", "--lr", "-1e-4", "--optimizer_args", "x=1", "--many", "1", "2"]) == {
        "a": "1", "b": True, "c": "2", "lr": "-1e-4", "optimizer_args": ["x=1"], "many": ["1", "2"]}
