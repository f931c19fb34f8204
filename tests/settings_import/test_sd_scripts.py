"""sd-scripts' own files: config in TOML and JSON, dataset files, and what they do not say."""

import pytest

from lib_sdtune.errors import UserError

LORA = """
[model]
pretrained_model_name_or_path = "D:\\\\models\\\\anime.safetensors"
clip_skip = 2
[data]
train_data_dir = "/data/cats"
resolution = "768,512"
caption_extension = ".txt"
[network]
network_module = "networks.lora"
network_dim = 32
unet_lr = 1e-4
text_encoder_lr = [5e-5, 2e-5]
[run]
output_name = "my cat: v1"
max_train_epochs = 12
save_last_n_steps = 250
save_every_n_steps = 100
optimizer_type = "AdamW8bit"
optimizer_args = ["weight_decay=0.1", "betas=0.9,0.99", "fantasy=3"]
scale_weight_norms = 1.0
epoch = 99
wandb_api_key = "abc-very-secret"
"""


def test_what_a_config_says_and_what_it_leaves_out(imported):
    config, text = imported({"a.toml": LORA})
    assert config["model"]["checkpoint"] == "D:\\models\\anime.safetensors" and config["model"]["clip_skip"] == 2
    assert config["concepts"] == [{"images": "/data/cats", "repeats": None, "prompt": "", "conditioning_data_dir": "", "class_images": "",
                                   "class_prompt": "", "num_class_images": 0}]
    assert config["dataset"]["resolution"] == 624  # the root of 768 x 512, as a multiple of 8
    assert config["lora"].items() >= {"network": "lora", "dim": 32, "alpha": 1.0, "conv_dim": 0, "conv_alpha": 1.0,
                                      "unet_lr": 1e-4, "text_encoder_lr": 5e-5}.items()
    assert config["train"]["max_train_epochs"] == 12
    assert config["train"]["optimizer_args"] == {"weight_decay": 0.1, "betas": [0.9, 0.99]}
    assert config["save"]["keep_last"] == 3  # 250 steps of files every 100
    assert config["name"] == "my cat_ v1"
    # what the file leaves out is as sd-scripts does it
    assert config["train"]["lr_scheduler"] == "constant" and config["train"]["mixed_precision"] == "no"
    assert config["dataset"]["enable_bucket"] is False and config["dataset"]["max_token_length"] == 75
    assert config["save"]["precision"] == "float" and config["dataset"]["cache_latents"] is False
    assert "scale_weight_norms = 1.0" in text and "fantasy" in text and "epoch = 99" in text
    assert "wandb_api_key" in text and "very-secret" not in text


def test_defaults_of_an_almost_empty_config(imported):
    config, text = imported({"a.json": {"network_module": "networks.lora", "train_data_dir": "x", "resolution": 512}})
    assert config["lora"]["dim"] == 4 and config["lora"]["alpha"] == 1.0
    assert config["lora"]["unet_lr"] == config["lora"]["text_encoder_lr"] == 2e-6
    assert config["train"]["max_train_steps"] == 1600 and config["train"]["max_train_epochs"] == 0
    assert config["dataset"]["caption_extension"] == ".caption"
    assert '"name"' in text and "network_dim 4" in text


@pytest.mark.parametrize("module, arguments, expected", [
    ("networks.lora", ["conv_dim=8"], ("lora", 16, 4.0, 8, 1.0)),
    ("lycoris.kohya", [], ("lora", 16, 4.0, 16, 4.0)),
    ("lycoris.kohya", ["algo=loha", "conv_dim=0", "conv_alpha=2"], ("loha", 16, 4.0, 16, 2.0)),
    ("lycoris.kohya", ["algo=lokr", "preset=attn-mlp", "conv_dim=8"], ("lokr", 16, 4.0, 0, 1.0)),
    ("lycoris.kohya", ["dora_wd=True", "conv_dim=4", "conv_alpha=1"], ("dora", 16, 4.0, 4, 1.0)),
    ("lycoris.kohya", ["algo=ia3", "preset=ia3"], ("ia3", 16, 4.0, 0, 1.0)),
    ("lycoris.kohya", ["algo=diag-oft"], ("diag-oft", 16, 4.0, 16, 4.0)),
    ("lycoris.kohya", ["algo=boft"], ("boft", 16, 4.0, 16, 4.0)),
    ("lycoris.kohya", ["algo=glora"], ("lora", 16, 4.0, 16, 4.0)),
])
def test_networks(imported, module, arguments, expected):
    config, text = imported({"a.json": {"network_module": module, "network_args": arguments, "network_dim": 16,
                                        "network_alpha": 4, "train_data_dir": "x"}})
    lora = config["lora"]
    assert (lora["network"], lora["dim"], lora["alpha"], lora["conv_dim"], lora["conv_alpha"]) == expected
    assert ("GLoRA cannot be trained here" in text) == ("algo=glora" in arguments)


@pytest.mark.parametrize(("arguments", "more", "expected"), [
    ([], {}, (80, 0, "attn-only")), (["enable_all_linear=True"], {}, (80, 0, "attn-mlp")),
    (["enable_all_linear=True", "enable_conv=True"], {}, (80, 80, "attn-mlp")),
    (["enable_conv=True"], {"network_dim": 8}, (40, 40, "attn-mlp"))])
def test_kohyas_oft_is_the_diagonal_one_of_the_unet(imported, arguments, more, expected):
    """networks/oft.py: network_dim blocks in each layer, network_alpha is the constraint, attention layers alone."""
    options = {"network_module": "networks.oft", "network_args": arguments, "network_dim": 4, "network_alpha": 1e-3,
               "train_data_dir": "x", "learning_rate": 1e-4}
    config, text = imported({"a.json": options | more})
    lora = config["lora"]
    assert (lora["network"], lora["constraint"], lora["unet_lr"], lora["text_encoder_lr"]) == ("diag-oft", 1e-3, 1e-4, 0)
    assert (lora["dim"], lora["conv_dim"], lora["preset"]) == expected
    assert "how many blocks a layer has there" in text and "cannot be trained" not in text


def test_a_matrix_that_is_not_split(imported):
    config, text = imported({"a.json": {"network_module": "lycoris.kohya", "network_args": ["algo=lokr", "factor=8"],
                                        "network_dim": 100000, "train_data_dir": "x"}})
    assert config["lora"]["dim"] == 1024 and config["lora"]["conv_dim"] == 1024
    assert "network_dim = 100000" in text and config["lora"]["factor"] == 8


def test_what_networks_have_besides(imported):
    options = {"network_module": "lycoris.kohya", "train_data_dir": "x", "network_dropout": 0.2, "scale_weight_norms": 1.0,
               "network_args": ["rank_dropout=0.1", "module_dropout=0.3", "use_tucker=True", "loraplus_lr_ratio=4", "train_norm=True",
                                "down_lr_weight=1,0.5,0"],
               "network_weights": "D:/loras/first.safetensors", "base_weights": ["a/b.safetensors"], "base_weights_multiplier": [0.5]}
    config, text = imported({"a.json": options})
    assert config["lora"].items() >= {"network_dropout": 0.2, "scale_weight_norms": 1.0, "rank_dropout": 0.1, "module_dropout": 0.3,
                                      "use_tucker": True, "loraplus_lr_ratio": 4.0, "down_lr_weight": [1, 0.5, 0],
                                      "init_file": "first", "train_norm": True}.items()
    assert config["model"]["base_loras"] == [["b", 0.5]]
    del options["network_weights"]
    config, text = imported({"a.json": {**options, "network_args": ["algo=loha", "loraplus_lr_ratio=4"]}})
    assert config["lora"]["network_dropout"] == 0 and config["lora"]["loraplus_lr_ratio"] == 1
    assert text.count("not with this kind of network") == 2
    config, text = imported({"a.json": {**options, "network_module": "networks.lora", "optimizer_type": "Prodigy", "learning_rate": 1}})
    assert config["lora"]["down_lr_weight"] == [] and config["lora"]["unet_lr"] == 1
    assert not config["lora"]["train_norm"] and "train_norm = true" in text


@pytest.mark.parametrize("options, path, expected", [
    ({"lr_warmup_steps": 0.1, "max_train_steps": 2000}, "lr_warmup_steps", 200),
    ({"lr_warmup_steps": "5%", "max_train_steps": 2000}, "lr_warmup_steps", 100),
    ({"lr_warmup_steps": 100.0, "max_train_steps": 2000}, "lr_warmup_steps", 100),
    ({"lr_warmup_steps": 0.1, "max_train_epochs": 3}, "lr_warmup_steps", 0),
    ({"lr_scheduler": "cosine_with_min_lr"}, "lr_scheduler", "cosine_with_min_lr"),
    ({"lr_scheduler": "warmup_stable_decay", "lr_decay_steps": 0.2, "max_train_steps": 500}, "lr_decay_steps", 100),
    ({"lr_scheduler": "piecewise_constant"}, "lr_scheduler", "constant"),
    ({"lr_scheduler": "cosine", "lr_scheduler_type": "CosineAnnealingWarmRestarts"}, "lr_scheduler", "cosine_with_restarts"),
    ({"optimizer_type": "dadaptation.DAdaptAdaGrad"}, "optimizer", "Prodigy"),
    ({"optimizer_type": "PagedAdamW8bit"}, "optimizer", "AdamW8bit"),
    ({"use_8bit_adam": True, "use_lion_optimizer": True}, "optimizer", "Lion"),
    ({"optimizer_type": "lion"}, "optimizer", "Lion"),
    ({"gradient_accumulation_steps": 4.0}, "gradient_accumulation_steps", 4),
    ({"max_grad_norm": 0}, "max_grad_norm", 0.0),
])
def test_training(imported, options, path, expected):
    config, text = imported({"a.json": {"network_module": "networks.lora", "train_data_dir": "x", "resolution": 512,
                                        "lr_scheduler": "cosine", **options}})
    assert config["train"][path] == expected
    assert all(key in text for key in options)


def test_prodigy_gets_one_rate_near_1(imported):
    config, text = imported({"a.json": {"network_module": "networks.lora", "train_data_dir": "x", "optimizer_type": "Prodigy",
                                        "unet_lr": 1.0, "text_encoder_lr": 0.5}})
    assert config["lora"]["unet_lr"] == config["lora"]["text_encoder_lr"] == 1.0
    assert "text_encoder_lr = 0.5" in text
    config, _ = imported({"a.json": {"network_module": "networks.lora", "train_data_dir": "x", "optimizer_type": "Prodigy",
                                     "learning_rate": 1e-4, "network_train_unet_only": True}})
    assert (config["lora"]["unet_lr"], config["lora"]["text_encoder_lr"]) == (1.0, 0.0)


def test_values_beyond_ours_are_brought_within(imported):
    config, text = imported({"a.json": {
        "network_module": "networks.lora", "train_data_dir": "x", "resolution": "682,512", "clip_skip": 0, "keep_tokens": 999,
        "min_timestep": 900, "max_timestep": 100, "enable_bucket": True, "min_bucket_reso": 2048, "max_bucket_reso": 1024,
        "bucket_reso_steps": 1, "noise_offset": 3, "learning_rate": "fast", "loss_type": "fancy"}})
    assert config["model"]["clip_skip"] == 1 and config["dataset"]["keep_tokens"] == 255
    assert config["dataset"]["min_bucket_reso"] == config["dataset"]["resolution"] // 2 and config["dataset"]["bucket_reso_steps"] == 1
    assert config["noise"]["min_timestep"] == 0 and config["noise"]["noise_offset"] == 1 and config["loss"]["loss_type"] == "l2"
    for key in ("keep_tokens = 999", "min_timestep = 900", "learning_rate = fast", "loss_type = fancy", "resolution = 682,512"):
        assert key in text, key


def test_dreambooth_trains_the_text_encoder_unless_told_not_to(imported):
    db = {"pretrained_model_name_or_path": "a.ckpt", "train_data_dir": "x", "learning_rate": 2e-6, "full_bf16": True,
          "mixed_precision": "bf16", "reg_data_dir": "/data/reg/1_a cat"}
    config, _ = imported({"a.json": db})
    assert config["method"] == "dreambooth" and config["dreambooth"]["weights"] == "bfloat16"
    assert config["dreambooth"]["unet_lr"] == config["dreambooth"]["text_encoder_lr"] == 2e-6
    assert config["concepts"][0]["class_images"] == "/data/reg/1_a cat" and config["concepts"][0]["class_prompt"] == "a cat"
    config, _ = imported({"a.json": {**db, "train_text_encoder": False}})
    assert config["dreambooth"]["text_encoder_lr"] == 0
    config, _ = imported({"a.json": {**db, "learning_rate_te": 1e-6, "stop_text_encoder_training": 300}})
    assert config["dreambooth"]["text_encoder_lr"] == 1e-6 and config["train"]["stop_text_encoder_training"] == 300


DATASET = """
[general]
enable_bucket = true
shuffle_caption = true
[[datasets]]
resolution = [1024, 1024]
batch_size = 4
  [[datasets.subsets]]
  image_dir = '/data/cat'
  class_tokens = 'ron cat'
  num_repeats = 7
  [[datasets.subsets]]
  image_dir = '/data/10_dog'
  [[datasets.subsets]]
  is_reg = true
  image_dir = '/data/class'
  class_tokens = 'a cat'
[[datasets]]
resolution = 512
  [[datasets.subsets]]
  image_dir = '/data/cat'
"""


def test_a_dataset_file_alone(imported):
    config, text = imported({"data.toml": DATASET})
    first, second = config["concepts"]
    assert (first["images"], first["repeats"], first["prompt"]) == ("/data/cat", 7, "ron cat")
    assert (first["class_images"], first["class_prompt"]) == ("/data/class", "a cat")
    assert second["images"] == "/data/10_dog" and second["repeats"] == 1  # never from the folder's name
    assert config["dataset"]["resolution"] == 1024 and config["train"]["batch_size"] == 4
    assert config["dataset"]["shuffle_caption"] is True and "resolution = 512" in text


def test_a_config_with_the_dataset_file_and_the_prompts_that_it_names(imported):
    config, text = imported({
        "train.toml": 'network_module = "networks.lora"\ntrain_data_dir = "/other"\ntrain_batch_size = 1\n'
                      'dataset_config = "C:\\\\x\\\\data.toml"\nsample_prompts = "./sub/prompts.txt"\nmax_train_steps = 900\n'
                      'learning_rate = 1e-4',
        "_data.toml": DATASET, "_sub/prompts.txt": "# none\nron cat --w 515 --n ugly --x 3\n"})
    assert config["concepts"][0]["images"] == "/data/cat" and config["train"]["batch_size"] == 4
    assert config["sample"]["prompts"] == ["ron cat --w 512 --n ugly"]
    assert "contradict" in text and "train_data_dir = /other" in text and "--x = 3" in text


def test_one_value_written_in_two_ways_contradicts_nothing(imported):
    config, text = imported({
        "train.toml": 'network_module = "networks.lora"\nresolution = "512"\nshuffle_caption = "True"\ndataset_config = "data.toml"',
        "_data.toml": "[general]\nshuffle_caption = true\n[[datasets]]\nresolution = 512\n[[datasets.subsets]]\nimage_dir = '/cat'"})
    assert config["dataset"]["resolution"] == 512 and config["dataset"]["shuffle_caption"] is True
    assert "contradict" not in text


def test_a_share_becomes_steps_where_the_pictures_are(imported, images):
    options = {"network_module": "networks.lora", "max_train_epochs": 5, "lr_warmup_steps": 0.2, "lr_scheduler": "cosine",
               "resolution": 64, "train_data_dir": "/not/here"}
    config, _ = imported({"a.json": options}, images=str(images), name="ron")
    from lib_sdtune.data.inspect import inspect

    showings = sum(row["repeats"] for row in inspect(images)["pictures"])
    assert config["train"]["lr_warmup_steps"] == int(0.2 * 5 * showings) > 0
    assert config["concepts"][0]["images"] == str(images) and config["name"] == "ron"


def test_embeddings(imported):
    config, _ = imported({"a.json": {"pretrained_model_name_or_path": "a.ckpt", "train_data_dir": "x", "token_string": "ron",
                                     "init_word": "cat", "num_vectors_per_token": "4", "learning_rate": "5e-4"}})
    assert config["method"] == "textual_inversion" and config["textual_inversion"]["token"] == "ron"
    assert config["textual_inversion"]["init_text"] == "cat" and config["textual_inversion"]["num_vectors_per_token"] == 4
    assert config["textual_inversion"]["lr"] == 5e-4 and config["textual_inversion"]["save_model_as"] == "pt"


def test_windows_paths_in_toml_and_gbk(imported):
    config, _ = imported({"a.toml": 'train_data_dir = "D:\\cats\\images"\nnetwork_module = "networks.lora"  # \u8bad\u7ec3'.encode("gbk")})
    assert config["concepts"][0]["images"] == "D:\\cats\\images"


@pytest.mark.parametrize("files, words", [
    ({"a.json": {"network_module": "networks.lora_flux", "network_dim": 4}}, "FLUX"),
    ({"a.toml": 'network_module = "networks.lora_wan"\nnetwork_dim = 4'}, "Wan"),
    ({"a.json": {"pretrained_model_name_or_path": "x/flux1-dev.safetensors", "train_data_dir": "x"}}, "FLUX"),
    ({"a.json": {"train_data_dir": "x", "output_name": "y", "clip_g": "g.safetensors"}}, "SD3"),
    ({"a.json": {"A": {"down_lr_weight": [1.0]}, "B": {"up_lr_weight": [1.0]}}}, "block weights"),
    ({"a.toml": "unet_target_name = []\nenable_conv = true"}, "LyCORIS"),
    ({"a.toml": '[prompt]\nwidth = 512\n[[prompt.subset]]\nprompt = "x"'}, "prompts"),
    ({"a.txt": "a cat --w 512 --n bad\na dog --d 3 --s 20"}, "prompts"),
    ({"a.yaml": "compute_environment: LOCAL\ndistributed_type: 'NO'"}, "accelerate"),
    ({"a.json": {"nodes": [], "links": []}}, "ComfyUI"),
    ({"a.json": {"batch_size": 3, "lr": 0.1}}, "no settings file"),
    ({"a.json": "{"}, "not valid JSON"),
    ({"a.toml": "a = "}, "not valid TOML"),
    ({"a.yaml": "a: [1"}, "not valid YAML"),
    ({"a.json": b"\0\1\2"}, "no text"),
    ({"a.ckpt": "x"}, "model file"),
    ({"a.safetensors": "x"}, "safetensors"),
    ({"a.json": {"name": "ron", "method": "lora", "concepts": [{"images": "x"}], "train": {}}}, "CONFIG of SD Tune"),
    ({"a.json": {"training_method": "LORA", "model_type": "STABLE_DIFFUSION_15"},
      "b.toml": 'network_module = "networks.lora"\nnetwork_dim = 4'}, "one run"),
])
def test_what_is_refused_by_name(imported, files, words):
    with pytest.raises(UserError) as error:
        imported(files)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_options_of_captions_are_taken_over(imported):
    options = {"keep_tokens_separator": "|||", "secondary_separator": ";;;", "enable_wildcard": True, "caption_prefix": "photo of",
               "caption_suffix": "best", "token_warmup_min": 2, "token_warmup_step": 0.25, "caption_dropout_every_n_epochs": 4}
    config, text = imported({"a.json": {"network_module": "networks.lora", "train_data_dir": "x", **options}})
    assert {key: config["dataset"][key] for key in options} == options and "Not supported" not in text
    subsets = "[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'a'\ncaption_prefix = 'p'\n[[datasets.subsets]]\nimage_dir = 'b'\ncaption_prefix = 'q'\n"
    config, text = imported({"b.json": {"network_module": "networks.lora", "dataset_config": "d.toml"}, "d.toml": subsets})
    assert config["dataset"]["caption_prefix"] == "p" and "one value for all folders here, the first: p" in text


FOLDERS = "[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'a'\n{first}\n[[datasets.subsets]]\nimage_dir = 'b'\n{second}\n"


@pytest.mark.parametrize(("first", "second", "option", "expected", "words"), [
    ("", "flip_aug = true", "flip_aug", False, "flip_aug = true: one value for all folders here, the first: false"),
    ("flip_aug = true", "", "flip_aug", True, "flip_aug = true: one value for all folders here, also for those that do not say it"),
    ("keep_tokens = 2", "keep_tokens = 3", "keep_tokens", 2, "keep_tokens = 3: one value for all folders here, the first: 2"),
    ("", "keep_tokens = 0", "keep_tokens", 0, "keep_tokens = 0 -> dataset.keep_tokens = 0"),
    ("is_reg = true\nkeep_tokens = 9", "keep_tokens = 3", "keep_tokens", 3, "keep_tokens = 9: one value for all folders here, the first: 3"),
])
def test_what_a_part_of_the_folders_says_is_not_said_for_all_in_silence(imported, first, second, option, expected, words):
    config, text = imported({"d.toml": FOLDERS.format(first=first, second=second)})
    assert config["dataset"][option] == expected and words in text


def test_a_dataset_file_is_accounted_for_key_by_key(imported):
    pictures = "num_repeats = 7\nclass_tokens = 'ron cat'"
    config, text = imported({"d.toml": FOLDERS.format(first=pictures, second="is_reg = true\nclass_tokens = 'cat'")})
    assert config["concepts"][0].items() >= {"repeats": 7, "class_images": "b", "class_prompt": "cat"}.items()
    for line in ("num_repeats = 7 -> concepts[0].repeats = 7", "is_reg = true -> concepts[0].class_images = b",
                 "class_tokens = cat -> concepts[0].class_prompt = cat"):
        assert line in text
    assert "datasets = " not in text


def test_a_key_that_is_part_of_another_one_is_named_too(imported):
    _, text = imported({"a.json": {"network_module": "networks.lora", "train_data_dir": "x", "my_rate_of_learning": 3, "rate_of": 4}})
    assert "my_rate_of_learning = 3" in text and "rate_of = 4" in text.replace("my_rate_of_learning", "")


def test_an_optimizer_whose_package_is_missing_is_told_of(imported, monkeypatch):
    options = {"network_module": "networks.lora", "train_data_dir": "x", "optimizer_type": "AdamW8bit"}
    for available in (False, True):
        monkeypatch.setattr("lib_sdtune.optim.available", lambda asked, available=available: available)
        config, text = imported({"a.json": options})
        assert config["train"]["optimizer"] == "AdamW8bit" and ("The package that AdamW8bit needs is not there" in text) is not available


@pytest.mark.parametrize("name, ours, otherwise, package", [
    ("AdaFactor", "Adafactor", "AdamW", "transformers"), ("AdamWScheduleFree", "AdamWScheduleFree", "AdamW", "schedulefree"),
    ("dadaptation.DAdaptAdam", "DAdaptAdam", "Prodigy", "dadaptation")])
def test_optimizers_whose_package_may_be_missing(imported, monkeypatch, name, ours, otherwise, package):
    options = {"network_module": "networks.lora", "train_data_dir": "x", "optimizer_type": name, "learning_rate": 1}
    monkeypatch.setattr("lib_sdtune.optim.available", lambda asked: False)
    config, text = imported({"a.json": options})
    assert config["train"]["optimizer"] == otherwise and f"{ours} here, which needs the package {package}" in text
    monkeypatch.setattr("lib_sdtune.optim.available", lambda asked: True)
    monkeypatch.setattr("lib_sdtune.optim.make", lambda *arguments: None)
    assert imported({"a.json": options})[0]["train"]["optimizer"] == ours


def test_layers_of_lycoris_presets(imported):
    for arguments, preset in ((["algo=lora"], "full"), (["preset=attn-only"], "attn-only"), (["preset=attn-mlp"], "attn-mlp")):
        config, _ = imported({"a.json": {"network_module": "lycoris.kohya", "network_args": arguments,
                                         "train_data_dir": "x"}})
        assert config["lora"].get("preset") == preset


def test_the_folder_of_masks_comes_along(imported):
    toml = ("[general]\n[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'ron'\nconditioning_data_dir = 'masks'\n"
            "[[datasets.subsets]]\nimage_dir = 'reg'\nis_reg = true\nconditioning_data_dir = 'reg_masks'\n")
    config, text = imported({"a.toml": "network_module = 'networks.lora'\nmasked_loss = true\ndataset_config = 'data.toml'\n",
                             "_data.toml": toml})
    assert config["dataset"]["masked_loss"] and config["concepts"][0]["conditioning_data_dir"] == "masks"
    assert "reg_masks" in text and "class pictures" in text
    config, _ = imported({"a.toml": "network_module = 'networks.lora'\ntrain_data_dir = 'ron'\nconditioning_data_dir = 'masks'"})
    assert config["concepts"][0]["conditioning_data_dir"] == "masks" and not config["dataset"]["masked_loss"]
