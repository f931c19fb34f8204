"""The JSON of the kohya_ss GUI: zeros, percentages, texts for numbers, and flags in free text."""

import pytest

from lib_sdtune.errors import UserError

PAGE = {
    "LoRA_type": "Standard", "pretrained_model_name_or_path": "C:/models/a.safetensors", "train_data_dir": "C:\\train\\img",
    "network_dim": 64, "network_alpha": 32, "conv_dim": 1, "conv_alpha": 1, "unet_lr": 0.0001, "text_encoder_lr": 5e-5,
    "learning_rate": 0.001, "epoch": 10, "max_train_epochs": "", "max_train_steps": "", "lr_scheduler": "cosine",
    "lr_warmup": "10", "optimizer": "AdamW8bit", "optimizer_args": "", "max_resolution": "512,512", "train_batch_size": 2,
    "noise_offset_type": "Multires", "noise_offset": 0.05, "multires_noise_iterations": 8, "multires_noise_discount": 0.2,
    "max_grad_norm": 0, "prior_loss_weight": 0, "caption_extension": "", "seed": "1234", "save_precision": "bf16",
    "mixed_precision": "bf16", "max_token_length": "150", "xformers": "xformers", "cache_latents": True, "enable_bucket": True,
    "additional_parameters": "--min_bucket_reso=320 --noise_offset 0.1 --wandb_api_key=verysecret", "stop_text_encoder_training": 50,
    "sample_prompts": "a cat --n ugly --w 512\na dog", "huggingface_token": "hf_secret", "scale_weight_norms": 1,
}


def test_a_page(imported):
    config, text = imported({"a.json": PAGE})
    assert config["lora"].items() >= {"network": "lora", "dim": 64, "alpha": 32.0, "conv_dim": 0, "conv_alpha": 1.0,
                                      "unet_lr": 1e-4, "text_encoder_lr": 5e-5}.items()
    assert config["train"]["max_train_epochs"] == 10 and config["train"]["seed"] == 1234
    assert config["train"]["max_grad_norm"] == 1.0 and config["loss"]["prior_loss_weight"] == 1.0  # 0 is left out there
    assert config["train"]["lr_warmup_steps"] == 0 and config["train"]["stop_text_encoder_training"] == 0
    assert config["noise"]["multires_noise_iterations"] == 8 and config["noise"]["noise_offset"] == 0.1  # by a flag
    assert config["dataset"]["min_bucket_reso"] == 320 and config["dataset"]["caption_extension"] == ".caption"
    assert config["dataset"]["max_token_length"] == 150
    assert config["sample"]["prompts"] == ["a cat --n ugly --w 512", "a dog"]
    for key in ("lr_warmup = 10 percent", "stop_text_encoder_training", "scale_weight_norms", "max_grad_norm = 0",
                "huggingface_token"):
        assert key in text, key
    assert "secret" not in text.replace("a secret", "")


@pytest.mark.parametrize("changes, rates", [
    ({"unet_lr": 0, "text_encoder_lr": 0}, (1e-3, 1e-3)), ({"unet_lr": 0}, (0.0, 5e-5)), ({"text_encoder_lr": "0"}, (1e-4, 0.0)),
])
def test_rates_of_0(imported, changes, rates):
    config, _ = imported({"a.json": {**PAGE, **changes}})
    assert (config["lora"]["unet_lr"], config["lora"]["text_encoder_lr"]) == rates


@pytest.mark.parametrize("kind, network, conv", [
    ("Kohya LoCon", "lora", 1), ("LyCORIS/LoHa", "loha", 1), ("LyCORIS/LoKr", "lokr", 1), ("LyCORIS/LoCon", "lora", 1),
    ("LyCORIS/Diag-OFT", "diag-oft", 1)])
def test_kinds(imported, kind, network, conv):
    config, text = imported({"a.json": {**PAGE, "LoRA_type": kind}})
    assert (config["lora"]["network"], config["lora"]["conv_dim"]) == (network, conv)
    assert "cannot be trained" not in text


def test_steps_and_percentages(imported):
    config, _ = imported({"a.json": {**PAGE, "max_train_steps": "2000"}})
    assert config["train"]["max_train_steps"] == 2000 and config["train"]["max_train_epochs"] == 0
    assert config["train"]["lr_warmup_steps"] == 200
    config, text = imported({"a.json": {**PAGE, "dataset_config": "data.toml"}})
    assert config["train"]["max_train_steps"] == 1600 and "epoch = 10" in text and "data.toml" in text


def test_the_other_pages(imported):
    dreambooth = {key: value for key, value in PAGE.items() if "network" not in key and key not in (
        "LoRA_type", "unet_lr", "text_encoder_lr", "conv_dim", "conv_alpha")}
    config, _ = imported({"a.json": {**dreambooth, "max_train_steps": 1000}})
    assert config["method"] == "dreambooth" and config["train"]["stop_text_encoder_training"] == 500
    assert config["dreambooth"]["unet_lr"] == config["dreambooth"]["text_encoder_lr"] == 1e-3
    config, _ = imported({"a.json": {**dreambooth, "train_text_encoder": False, "image_folder": "/data/x", "dataset_repeats": 40}})
    assert config["dreambooth"]["text_encoder_lr"] == 0
    assert config["concepts"][0]["images"] == "/data/x" and config["concepts"][0]["repeats"] == 40
    config, _ = imported({"a.json": {**dreambooth, "token_string": "ron", "init_word": "cat"}})
    assert config["method"] == "textual_inversion" and config["textual_inversion"]["token"] == "ron"


def test_a_comma_too_many(imported):
    config, text = imported({"a.json": '{"LoRA_type": "Standard", "network_dim": 8, "max_resolution": "512,512", "x": [1,],}'})
    assert config["lora"]["dim"] == 8 and "comma" in text


@pytest.mark.parametrize("changes", [{"flux1_checkbox": True}, {"sd3_checkbox": True}, {"LoRA_type": "Flux1"}])
def test_other_families(imported, changes):
    with pytest.raises(UserError, match="FLUX|SD3"):
        imported({"a.json": {**PAGE, **changes}})
    config, _ = imported({"a.json": {**PAGE, "flux1_checkbox": False, "sd3_checkbox": False, "t5xxl": "old.safetensors"}})
    assert config["lora"]["dim"] == 64


PARTIAL = {"LoRA_type": "Standard", "max_resolution": "512,512", "noise_offset_type": "Original", "epoch": 4, "learning_rate": 1e-4}


def test_what_a_page_s_file_does_not_mention_is_the_page_s_own(imported):
    config, text = imported({"a.json": PARTIAL})
    assert config["dataset"].items() >= {"enable_bucket": True, "bucket_no_upscale": True, "max_bucket_reso": 2048, "cache_latents": True,
                                         "latent_sampling": "once", "caption_extension": ".txt"}.items()
    assert config["train"].items() >= {"lr_scheduler": "cosine", "mixed_precision": "fp16", "max_train_epochs": 4}.items()
    assert config["train"]["optimizer"] == "AdamW8bit" and config["save"]["precision"] == "fp16"
    assert (config["lora"]["dim"], config["lora"]["alpha"], config["lora"]["unet_lr"]) == (8, 1.0, 1e-4)
    assert "lr_warmup = not in the file, so 10 percent" in text
    defaults = text.partition("not in the file, so the other program's default: ")[2].partition("\n")[0]
    assert "optimizer AdamW8bit" in defaults and "enable_bucket" not in defaults  # as it is here anyway


def test_what_is_off_in_a_page_s_file_stays_so(imported):
    config, _ = imported({"a.json": {**PARTIAL, "enable_bucket": False, "cache_latents": False, "bucket_no_upscale": False, "lr_warmup": 0,
                                     "lr_scheduler": "constant", "caption_extension": "", "mixed_precision": "no"}})
    assert not config["dataset"]["enable_bucket"] and not config["dataset"]["cache_latents"] and not config["dataset"]["bucket_no_upscale"]
    assert config["dataset"]["caption_extension"] == ".caption" and config["train"]["mixed_precision"] == "no"
    assert (config["train"]["lr_scheduler"], config["train"]["lr_warmup_steps"]) == ("constant", 0)


@pytest.mark.parametrize("more", [{}, {"enable_bucket": False}])
def test_the_page_for_fine_tuning_always_sorts_into_buckets(imported, more):
    config, text = imported({"a.json": {"image_folder": "/data/x", "create_buckets": True, "train_batch_size": 1, "optimizer": "AdamW",
                                        "epoch": 2, "max_resolution": "1024,1024", **more}})
    assert config["method"] == "dreambooth" and config["dataset"]["enable_bucket"]
    assert ("always sorts pictures into buckets" in text) == bool(more)


def test_what_gives_way_is_not_taken_over_too(imported):
    _, text = imported({"a.json": {**PARTIAL, "LoRA_type": "LyCORIS/iA3", "network_dropout": 0.3, "max_bucket_reso": 99_999}})
    taken = text.partition("Means something else here:")[0]
    assert "network_dropout" not in taken and "max_bucket_reso" not in taken and text.count("network_dropout = 0.3") == 1


def test_a_rate_that_another_setting_overrules_is_told_once(imported):
    files = {"a.toml": 'network_module = "networks.lora"\ntext_encoder_lr = 5e-5\nunet_lr = 1e-4\nnetwork_train_unet_only = true\n'}
    config, text = imported(files)
    assert config["lora"]["text_encoder_lr"] == 0.0 and "text_encoder_lr = 5e-05: network_train_unet_only counts instead" in text
    assert "-> lora.text_encoder_lr = 5e-05" not in text
