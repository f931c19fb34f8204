"""OneTrainer, ai-toolkit, EveryDream2, sd_dreambooth_extension, the WebUI, LoRA_Easy_Training_Scripts, LoRAs' metadata."""

import json
import struct

import pytest

from lib_sdtune.errors import UserError

ONE_TRAINER = {
    "__version": 4, "training_method": "LORA", "model_type": "STABLE_DIFFUSION_15", "base_model_name": "models/a.safetensors",
    "output_model_destination": "models/ron.safetensors", "resolution": "512,768", "learning_rate": 1e-4, "batch_size": 4,
    "learning_rate_scaler": "BATCH", "gradient_accumulation_steps": 2, "text_encoder": {"train": False}, "epochs": 20,
    "learning_rate_warmup_steps": 100, "min_noising_strength": 0.1, "max_noising_strength": 0.9, "text_encoder_layer_skip": 1,
    "optimizer": {"optimizer": "PRODIGY", "beta1": 0.9, "beta2": 0.99, "d_coef": 2.0, "momentum": 0.9, "weight_decay": None},
    "concept_file_name": "concepts.json", "samples": [{"prompt": "ron", "negative_prompt": "bad", "width": 512, "seed": 3}],
    "mae_strength": 1.0, "mse_strength": 0.0, "cloud": {"password": "verysecret"}}
CONCEPTS = [{"path": "/d/cat", "balancing": 2.4, "image": {"enable_random_flip": True}, "text": {"keep_tags_count": 2}},
            {"path": "/d/off", "enabled": False, "image": {}}, {"path": "/d/dog", "balancing": 1, "image": {}, "text": {}}]


def test_onetrainer(imported):
    config, text = imported({"config.json": ONE_TRAINER, "_concepts.json": CONCEPTS})
    assert config["name"] == "ron" and config["model"]["clip_skip"] == 2 and config["dataset"]["resolution"] == 512
    assert [(concept["images"], concept["repeats"]) for concept in config["concepts"]] == [("/d/cat", 2), ("/d/dog", 1)]
    assert config["dataset"]["flip_aug"] is True and config["dataset"]["keep_tokens"] == 2
    assert config["lora"]["dim"] == 16 and config["lora"]["alpha"] == 1.0 and config["lora"]["text_encoder_lr"] == 0
    assert config["train"]["optimizer_args"] == {"betas": [0.9, 0.99], "d_coef": 2.0}
    assert config["train"]["lr_warmup_steps"] == 50 and config["train"]["lr_scheduler"] == "constant_with_warmup"
    assert config["noise"]["min_timestep"] == 100 and config["noise"]["max_timestep"] == 900
    assert config["loss"]["loss_type"] == "l1" and config["save"]["precision"] == "float"
    assert config["sample"]["prompts"] == ["ron --n bad --w 512 --d 3"]
    assert "verysecret" not in text and "resolution = 512,768" in text


def test_a_preset_of_onetrainer_is_its_defaults(imported):
    config, text = imported({"a.json": {"training_method": "FINE_TUNE", "model_type": "STABLE_DIFFUSION_XL_10_BASE"}})
    assert config["method"] == "dreambooth" and config["dreambooth"]["unet_lr"] == 3e-6
    assert config["train"]["max_train_epochs"] == 100 and config["train"]["lr_warmup_steps"] == 200
    assert "epochs 100" in text
    config, _ = imported({"a.json": {**ONE_TRAINER, "optimizer": {}, "learning_rate_warmup_steps": 0}})
    assert config["lora"]["unet_lr"] == pytest.approx(2e-4)  # times the root of the batch


@pytest.mark.parametrize("changes, word", [({"model_type": "FLUX_DEV_1"}, "FLUX"), ({"training_method": "FINE_TUNE_VAE"}, "VAE"),
                                           ({"model_type": "STABLE_DIFFUSION_15_INPAINTING"}, "inpainting")])
def test_onetrainer_refused(imported, changes, word):
    with pytest.raises(UserError, match=word):
        imported({"a.json": {**ONE_TRAINER, **changes}})


AI_TOOLKIT = """
job: extension
config:
  name: ron_v1
  process:
    - type: sd_trainer
      trigger_word: r0n
      network: {type: lora, linear: 16, linear_alpha: 8}
      save: {dtype: bf16, save_every: 250}
      datasets:
        - folder_path: /d/cat
          caption_ext: txt
          caption_dropout_rate: 0.05
          resolution: [512, 768]
      train:
        batch_size: 2
        steps: 1000
        gradient_accumulation_steps: 4
        lr: 1e-4
        optimizer: adamw8bit
        noise_scheduler: ddpm
        dtype: bf16
      model: {name_or_path: /m/a.safetensors, is_v_pred: true}
      sample: {sample_every: 100, neg: ugly, prompts: ["[trigger] a --w 512 --m 2"]}
"""


def test_ai_toolkit(imported):
    config, text = imported({"a.yaml": AI_TOOLKIT})
    assert config["name"] == "ron_v1" and config["lora"]["dim"] == 16 and config["lora"]["alpha"] == 8
    assert config["lora"]["unet_lr"] == 1e-4 and config["lora"]["text_encoder_lr"] == 0  # off unless it is asked for
    assert config["train"]["max_train_steps"] == 250 and config["train"]["gradient_accumulation_steps"] == 4
    assert config["model"]["prediction_type"] == "v_prediction" and config["dataset"]["resolution"] == 768
    assert config["dataset"]["caption_extension"] == ".txt" and config["concepts"][0]["repeats"] == 1
    assert config["save"]["precision"] == "bf16" and config["save"]["keep_last"] == 5
    assert config["sample"]["prompts"] == ["r0n a --w 512 --n ugly"] and "trigger_word = r0n" in text and "--m" in text


@pytest.mark.parametrize("before, after, word", [
    ("type: sd_trainer", "type: slider", "slider"), ("job: extension", "job: extract", "extract"),
    ("is_v_pred", "is_flux", "FLUX"), ("noise_scheduler: ddpm", "noise_scheduler: flowmatch", "flow")])
def test_ai_toolkit_refused(imported, before, after, word):
    with pytest.raises(UserError, match=word):
        imported({"a.yaml": AI_TOOLKIT.replace(before, after)})


EVERY_DREAM = {"resume_ckpt": "m/a.ckpt", "data_root": "/d/cat", "max_epochs": 40, "batch_size": 8, "lr": None, "clip_skip": 0,
               "seed": -1, "sample_steps": 300, "flip_p": 0.2, "project_name": "ron", "optimizer_config": "optimizer.json",
               "pyramid_noise_discount": 0.03, "validation_config": "val.json", "clip_grad_norm": None, "loss_type": "mse"}


def test_everydream2(imported):
    files = {"train.json": EVERY_DREAM, "_val.json": {"validate_training": True, "val_split_mode": "automatic",
                                                      "auto_split_proportion": 0.1},
             "_optimizer.json": {"base": {"optimizer": "lion", "lr": 1e-6, "lr_scheduler": "cosine", "betas": [0.9, 0.95],
                                          "epsilon": 1e-8, "weight_decay": 0.1},
                                 "text_encoder_overrides": {"lr": 5e-7, "lr_scheduler": "constant"}}}
    config, text = imported(files)
    assert config["method"] == "dreambooth" and config["dreambooth"]["unet_lr"] == 1e-6
    assert config["dreambooth"]["text_encoder_lr"] == 5e-7 and config["train"]["optimizer"] == "Lion"
    assert config["train"]["optimizer_args"] == {"betas": [0.9, 0.95], "weight_decay": 0.1}
    assert config["dataset"]["caption_dropout_rate"] == 0.04 and config["noise"]["noise_offset"] == 0.02
    assert config["noise"]["multires_noise_discount"] == 0.03 and config["validation"]["split"] == 0.1
    assert config["sample"]["every_n_steps"] == 300 and config["train"]["max_grad_norm"] == 0
    assert config["model"]["clip_skip"] == 1 and "flip_p = 0.2" in text and "seed = -1" in text


def test_sd_dreambooth_extension(imported):
    model = {"model_name": "m1", "custom_model_name": "ron", "concepts_path": "c.json", "num_train_epochs": 100, "hflip": True,
             "lora_learning_rate": 2e-4, "lora_txt_learning_rate": 1e-4, "use_lora": True, "lora_unet_rank": 8,
             "stop_text_encoder": 0.75, "half_model": True, "optimizer": "8bit AdamW", "adam_beta1": 0.9, "adam_beta2": 0.98,
             "pretrained_model_name_or_path": "/x/working", "lr_scheduler": "constant", "lr_warmup_steps": 500}
    concepts = [{"instance_data_dir": "/d/cat", "class_data_dir": "/d/class", "instance_prompt": "ron, [filewords]",
                 "class_prompt": "a cat, [filewords]", "num_class_images": 50, "save_sample_prompt": "ron"}]
    config, text = imported({"db_config.json": model, "_c.json": concepts})
    assert config["method"] == "lora" and config["name"] == "ron" and config["lora"]["dim"] == 8
    assert config["lora"]["unet_lr"] == 2e-4 and config["lora"]["text_encoder_lr"] == 1e-4
    concept = config["concepts"][0]
    assert (concept["images"], concept["class_images"], concept["num_class_images"]) == ("/d/cat", "/d/class", 50)
    assert concept["prompt"] == "ron, [filewords]" and concept["class_prompt"] == "a cat"
    assert config["loss"]["prior_loss_weight"] == 0.75 and config["train"]["optimizer_args"]["betas"] == [0.9, 0.98]
    assert "stop_text_encoder = 0.75" in text and config["sample"]["prompts"] == ["ron"]


def test_a_list_of_concepts_alone(imported):
    config, text = imported({"concepts_list.json": [{"instance_data_dir": "C:\\d\\cat", "instance_prompt": "ron cat",
                                                     "class_prompt": "cat", "class_data_dir": "C:\\d\\class"}]})
    assert config["method"] == "dreambooth" and config["concepts"][0]["images"] == "C:\\d\\cat"
    assert config["concepts"][0]["class_prompt"] == "cat" and "pictures alone" in text


def test_the_webuis_own_training(imported):
    settings = {"embedding_name": "my-dog", "learn_rate": "0.005:100, 1e-3", "batch_size": 2, "gradient_step": 3, "steps": 800,
                "data_root": "D:\\dog", "training_width": 512, "training_height": 768, "clip_grad_mode": "norm",
                "clip_grad_value": "0.5", "template_file": "C:\\t\\subject_filewords.txt", "num_vectors_per_token": 4,
                "model_name": "v1-5", "latent_sampling_method": "deterministic", "save_embedding_every": 50}
    config, text = imported({"settings.json": settings})
    assert config["method"] == "textual_inversion" and config["name"] == "my-dog"
    assert config["textual_inversion"]["lr"] == "0.005:100, 1e-3" and config["textual_inversion"]["num_vectors_per_token"] == 4
    assert config["concepts"][0]["prompt"] == "subject_filewords.txt" and config["model"]["checkpoint"] == "v1-5"
    assert config["dataset"]["resolution"] == 624 and config["train"]["max_grad_norm"] == 0.5
    assert config["dataset"]["latent_sampling"] == "deterministic" and config["dataset"]["enable_bucket"] is False
    hyper = {key: value for key, value in settings.items() if key != "embedding_name"}
    config, _ = imported({"settings.json": {**hyper, "hypernetwork_name": "h", "layer_structure": [1, 2, 1], "activation_func": "relu",
                                            "use_dropout": False, "learn_rate": "1e-5"}})
    assert config["method"] == "hypernetwork" and config["hypernetwork"]["activation"] == "relu"


def test_easy_training_scripts(imported):
    config, text = imported({"a.toml": """
[[subsets]]
num_repeats = 3
image_dir = "F:/data/10_ron"
caption_extension = ".txt"
keep_tokens = 1
[train_mode]
train_mode = "lora"
[general_args.args]
pretrained_model_name_or_path = "F:/a.safetensors"
max_train_steps = 1000
[general_args.dataset_args]
resolution = 768
batch_size = 2
[network_args.args]
network_dim = 8
network_alpha = 4.0
[network_args.args.network_args]
algo = "locon"
conv_dim = "4"
[optimizer_args.args]
optimizer_type = "Prodigy"
lr_scheduler = "cosine"
learning_rate = 1.0
warmup_ratio = 0.05
[optimizer_args.args.optimizer_args]
betas = "0.9,0.99"
decouple = "True"
"""})
    assert config["concepts"][0]["images"] == "F:/data/10_ron" and config["concepts"][0]["repeats"] == 3
    assert config["lora"]["dim"] == 8 and config["lora"]["conv_dim"] == 4 and config["train"]["lr_warmup_steps"] == 50
    assert config["train"]["optimizer_args"] == {"betas": [0.9, 0.99], "decouple": True}
    assert "warmup_ratio" in text


METADATA = {
    "ss_network_module": "lycoris.kohya", "ss_network_args": json.dumps({"algo": "loha", "conv_dim": "4", "conv_alpha": "1"}),
    "ss_network_dim": "8", "ss_network_alpha": "4.0", "ss_learning_rate": "1e-4", "ss_unet_lr": "None", "ss_text_encoder_lr": "5e-5",
    "ss_max_train_steps": "2000", "ss_num_epochs": "10", "ss_epoch": "4", "ss_lr_warmup_steps": "100", "ss_lr_scheduler": "cosine",
    "ss_optimizer": "prodigyopt.prodigy.Prodigy(decouple=True,weight_decay=0.5,betas=(0.9, 0.99))", "ss_sd_model_name": "a.safetensors",
    "ss_dataset_dirs": json.dumps({"10_ron": {"n_repeats": 10, "img_count": 20}}), "ss_base_model_version": "sdxl_base_v1-0",
    "ss_datasets": json.dumps([{"batch_size_per_device": 2, "resolution": [1024, 1024], "enable_bucket": True,
                                "subsets": [{"num_repeats": 10, "shuffle_caption": True, "class_tokens": "ron"}]}]),
    "ss_clip_skip": "2", "ss_seed": "7", "ss_mixed_precision": "bf16", "ss_noise_offset": "None", "ss_scale_weight_norms": "1.0",
    "sshs_model_hash": "ff"}


@pytest.mark.parametrize("file", ["lora.safetensors", "pasted.json", "wrapped.json"])
def test_train_like_this_lora(imported, file):
    header = json.dumps({"__metadata__": METADATA}).encode()
    contents = {"lora.safetensors": struct.pack("<Q", len(header)) + header, "pasted.json": METADATA,
                "wrapped.json": {"metadata": METADATA}}
    config, text = imported({file: contents[file]})
    assert config["lora"]["network"] == "loha" and config["lora"]["dim"] == 8 and config["lora"]["conv_dim"] == 4
    assert config["train"]["max_train_steps"] == 2000 and config["train"]["max_train_epochs"] == 0 and "ss_epoch = 4" in text
    assert config["train"]["lr_warmup_steps"] == 100 and config["train"]["batch_size"] == 2
    assert config["train"]["optimizer_args"] == {"decouple": True, "weight_decay": 0.5, "betas": [0.9, 0.99]}
    assert config["lora"]["unet_lr"] == config["lora"]["text_encoder_lr"] == 1.0  # Prodigy takes one, near 1
    assert config["concepts"][0]["repeats"] == 10 and config["concepts"][0]["prompt"] == "ron"
    assert config["dataset"]["resolution"] == 1024 and config["dataset"]["shuffle_caption"] is True
    assert config["model"]["clip_skip"] == 1 and config["model"]["checkpoint"] == "a.safetensors"
    assert "ss_scale_weight_norms" in text and "sshs_model_hash" in text


def test_metadata_without_settings(imported):
    with pytest.raises(UserError, match="does not say how it was trained"):
        imported({"a.json": {"ss_output_name": "x", "sshs_model_hash": "1", "software": {"name": "ai-toolkit"}}})
    with pytest.raises(UserError, match="Wan"):
        imported({"a.json": {**METADATA, "ss_network_module": "networks.lora_wan"}})


def test_a_lora_of_our_own(imported):
    from lib_sdtune.config import Config

    ours = Config.from_dict({"name": "ron", "concepts": [{"images": "10_ron", "repeats": 3}], "lora": {"dim": 7}, "overwrite": True}).to_dict()
    config, text = imported({"a.json": {"ss_network_dim": "1", "sdtune_config": json.dumps(ours)}})
    assert config["lora"]["dim"] == 7 and config["name"] == "ron" and "images" not in config["concepts"][0]
    assert "Taken over:" in text and "lora.dim = 7 -> lora.dim = 7" in text and "Not supported:" not in text
    assert "ss_network_dim" in text.partition("no settings, but facts about the file")[2]
    assert not config.get("overwrite"), "what is there is overwritten only where it is asked for"


def test_a_lora_of_our_own_that_went_on_from_another_has_the_network_of_its_file(imported):
    from lib_sdtune.config import Config

    lora = {"init_file": "old", "dim": 16, "conv_dim": 8, "unet_lr": 2e-3, "block_dims": [4] * 25}
    ours = Config.from_dict({"name": "ron", "concepts": [{"images": "10_ron"}], "lora": lora}).to_dict()
    facts = {"ss_network_dim": "4", "ss_network_alpha": "2.0", "sdtune_config": json.dumps(ours)}
    config, _ = imported({"a.json": facts})
    expected = {"init_file": "old", "unet_lr": 2e-3, "dim": 4, "alpha": 2.0, "conv_dim": 0, "block_dims": []}
    assert {key: config["lora"][key] for key in expected} == expected
    facts |= {"ss_network_module": "lycoris.kohya", "ss_network_args": json.dumps({"algo": "loha", "conv_dim": "3", "conv_alpha": "1.5"})}
    config, _ = imported({"a.json": facts})
    expected = {"network": "loha", "dim": 4, "conv_dim": 3, "conv_alpha": 1.5}
    assert {key: config["lora"][key] for key in expected} == expected
    config, _ = imported({"a.json": {"ss_network_dim": "Dynamic", "ss_network_args": "{", "sdtune_config": json.dumps(ours)}})
    assert config["lora"]["conv_dim"] == 0


def test_onetrainers_logit_normal_timesteps_and_masks(imported):
    config, text = imported({"a.json": {"__version": 2, "training_method": "LORA", "model_type": "STABLE_DIFFUSION_15", "masked_training": True,
                                        "timestep_distribution": "LOGIT_NORMAL", "noising_weight": 0.5, "noising_bias": -0.25}})
    noise = config["noise"]
    assert (noise["timestep_sampling"], noise["logit_std"], noise["logit_mean"]) == ("logit_normal", 1.5, -0.25)
    assert config["dataset"]["masked_loss"] and "NAME-masklabel.png beside a picture is read here too" in text


def test_train_like_a_lora_of_diffusers(imported):
    adapter = {"unet.r": 6, "unet.lora_alpha": 3, "unet.rank_pattern": {"attn1.to_q": 2}, "unet.use_dora": True}
    header = json.dumps({"__metadata__": {"format": "pt", "lora_adapter_metadata": json.dumps(adapter)}}).encode()
    config, text = imported({"lora.safetensors": struct.pack("<Q", len(header)) + header})
    lora = config["lora"]
    assert (lora["network"], lora["dim"], lora["alpha"], lora["text_encoder_lr"]) == ("dora", 6, 3.0, 0.0)
    assert "the UNet alone was trained" in text and "single layers had other dims" in text and "nothing else" in text
    few = {key: METADATA[key] for key in METADATA if key not in ("ss_network_dim", "ss_network_alpha")}
    config, _ = imported({"a.json": few | {"lora_adapter_metadata": adapter}})
    assert config["lora"]["dim"] == 6 and config["lora"]["alpha"] == 3.0 and config["lora"]["network"] == "loha"
