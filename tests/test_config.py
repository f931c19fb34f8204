"""The declaration and what is read off it: CONTRACT's example, refusals that name the key, defaults, JSON Schema, presets."""

import json
import re

import pytest

from lib_sdtune import presets
from lib_sdtune.artefacts import metadata
from lib_sdtune.config import Config, laid_over
from lib_sdtune.declaration import schema
from lib_sdtune.errors import UserError
from lib_sdtune.families import registry as families
from lib_sdtune.families.variant import Variant
from lib_sdtune.formats.plain_data import overlaid
from lib_sdtune.ineffective_settings import by_model, ineffective
from lib_sdtune.optim import schedule
from lib_sdtune.sentences import recognised

MINIMAL = {"name": "ron", "concepts": [{"images": "train/10_ron"}]}


def refusal(data):
    with pytest.raises(UserError) as error:
        Config.from_dict(data)
    text = str(error.value)
    assert text.endswith(".") and "\n" not in text
    return text


def changed(path, value):
    """The least config with one setting changed; `path` like "train.seed"."""
    data = json.loads(json.dumps(MINIMAL))
    group = data
    *groups, key = path.split(".")
    for name in groups:
        group = group.setdefault(name, {}) if name != "concepts[0]" else group["concepts"][0]
    group[key] = value
    return data


def test_two_settings_are_enough():
    config = Config.from_dict(MINIMAL)
    assert (config.method, config.lora.dim, config.train.max_train_steps) == ("lora", 16, 1500)


def test_the_complete_config_is_a_config():
    complete = Config.from_dict(MINIMAL).to_dict()
    again = Config.from_dict(json.loads(json.dumps(complete)))
    assert repr(again.to_dict()) == repr(complete), "down to 1 and 1.0, because files carry a hash of it"
    assert metadata.session_id(again) == metadata.session_id(Config.from_dict(MINIMAL))


def test_defaults_lie_under_what_the_user_says():
    data = {**MINIMAL, "lora": {"dim": 4}}
    config = Config.from_dict(data, defaults={"lora": {"dim": 99, "alpha": 3}, "dataset": {"resolution": 64}})
    assert (config.lora.dim, config.lora.alpha, config.dataset.resolution) == (4, 3, 64)
    assert data == {**MINIMAL, "lora": {"dim": 4}}, "the caller's dict is not changed"


@pytest.mark.parametrize("path, value, words", [
    ("lorra", {}, ["lorra", "'lora'"]),
    ("train.max_train_step", 5, ["train.max_train_step", "'max_train_steps'"]),
    ("concepts[0].image", "x", ["concepts[0].image", "'images'"]),
    ("train.seed", "42", ["train.seed", "whole number"]),
    ("train.seed", True, ["train.seed", "whole number"]),
    ("train.batch_size", 1.5, ["train.batch_size"]),
    ("sample.seed", 2**32, ["4294967296", "4294967295"]),
    ("dataset.flip_aug", 1, ["dataset.flip_aug", "true or false"]),
    ("lora", [], ["lora", "group"]),
    ("concepts", {}, ["concepts", "list"]),
    ("concepts", [], ["concepts", "at least one"]),
    ("lora.dim", 0, ["lora.dim", "smallest value is 1"]),
    ("lora.alpha", 0, ["lora.alpha", "greater than 0"]),
    ("train.batch_size", 10**6, ["train.batch_size", "largest value is 1024"]),
    ("train.max_grad_norm", float("nan"), ["train.max_grad_norm", "finite"]),
    ("lora.unet_lr", float("inf"), ["lora.unet_lr"]),
    ("lora.unet_lr", -1, ["lora.unet_lr"]),
    ("lora.unet_lr", "fast", ["lora.unet_lr", "5e-3:200"]),
    ("lora.unet_lr", "1e-3:200, 1e-4:100", ["lora.unet_lr", "rising"]),
    ("method", "loras", ["method", "'lora'"]),
    ("train.optimizer", "AdamV", ["train.optimizer", "'AdamW'"]),
    ("lora.network", "lorax", ["lora.network", "'lora'"]),
    ("train.lr_scheduler", "cosin", ["train.lr_scheduler", "'cosine'"]),
])
def test_one_wrong_setting_is_named(path, value, words):
    text = refusal(changed(path, value))
    assert all(word in text for word in words), text


@pytest.mark.parametrize("settings, words", [
    ({"train": {"max_train_steps": 0}}, ["max_train_steps", "max_train_epochs"]),
    ({"train": {"lr_scheduler": "constant", "lr_warmup_steps": 5}}, ["lr_warmup_steps", "constant_with_warmup"]),
    ({"lora": {"unet_lr": 0}, "train": {"stop_text_encoder_training": 50}}, ["lora.unet_lr", "stop_text_encoder_training"]),
    ({"train": {"optimizer": "Prodigy"}, "lora": {"unet_lr": 1e-4}}, ["Prodigy", "lora.unet_lr", "1"]),
    ({"train": {"optimizer": "Prodigy"}, "lora": {"unet_lr": 1, "text_encoder_lr": 0.5}}, ["Prodigy", "text_encoder_lr"]),
    ({"train": {"optimizer": "Prodigy"}, "lora": {"unet_lr": "1:100, 0.5"}}, ["Prodigy", "lora.unet_lr"]),
    ({"method": "textual_inversion", "dataset": {"caption_dropout_rate": 1}}, ["caption_dropout_rate", "word"]),
    ({"train": {"max_train_steps": 10, "lr_warmup_steps": 10}}, ["lr_warmup_steps", "max_train_steps"]),
    ({"train": {"max_train_steps": 10, "lr_scheduler": "warmup_stable_decay", "lr_decay_steps": 500}}, ["lr_decay_steps", "max_train_steps"]),
    ({"train": {"max_train_steps": 10, "lr_scheduler": "warmup_stable_decay", "lr_decay_steps": 6, "lr_warmup_steps": 5}},
     ["lr_decay_steps", "lr_warmup_steps"]),
    ({"noise": {"min_timestep": 500, "max_timestep": 500}}, ["min_timestep", "max_timestep"]),
    ({"dataset": {"min_bucket_reso": 1024, "max_bucket_reso": 512}}, ["min_bucket_reso", "max_bucket_reso"]),
    ({"dataset": {"bucket_reso_steps": 100}}, ["bucket_reso_steps", "multiple of 8"]),
    ({"dataset": {"enable_bucket": False, "resolution": 500}}, ["resolution", "multiple of 8"]),
    ({"lora": {"unet_lr": 0, "text_encoder_lr": 0}}, ["lora.unet_lr", "lora.text_encoder_lr"]),
    ({"lora": {"unet_lr": "0:10, 0", "text_encoder_lr": 0.0}}, ["lora.unet_lr"]),
    ({"concepts": [{"images": " "}]}, ["concepts[0].images", "empty"]),
    ({"concepts": [{"images": "a", "class_images": "b"}]}, ["class_images", "class_prompt"]),
    ({"concepts": [{"images": "a.toml", "class_images": "b", "class_prompt": "cat"}]}, ["class_images", "is_reg"]),
    ({"concepts": [{"images": "a", "num_class_images": 9}]}, ["num_class_images", "class_images"]),
    ({"concepts": [{"images": "a", "class_images": "a/", "class_prompt": "cat"}]}, ["class_images", "elsewhere"]),
    ({"concepts": [{"images": "a", "class_images": "./a/b", "class_prompt": "cat"}]}, ["class_images", "elsewhere"]),
    ({"concepts": [{"images": "a", "class_prompt": "a cat, [filewords]"}]}, ["concepts[0].class_prompt", "caption file"]),
    ({"concepts": [{"images": "a", "class_images": "b", "class_prompt": "style.txt"}]}, ["concepts[0].class_prompt", "template"]),
    ({"sample": {"width": 100}}, ["sample.width", "multiple of 8"]),
    ({"validation": {"every_n_steps": 5}}, ["validation.every_n_steps", "validation.split"]),
])
def test_contradictions_name_the_settings(settings, words):
    text = refusal({**MINIMAL, **settings})
    assert all(word in text for word in words), text


def test_required_settings_are_asked_for():
    assert '"name"' in refusal({"concepts": [{"images": "x"}]})
    assert '"concepts"' in refusal({"name": "ron"})
    assert '"concepts[0].images"' in refusal({"name": "ron", "concepts": [{}]})
    assert "group" in refusal([])


def test_the_schema_says_what_the_declaration_says():
    declared = schema(Config)
    assert declared["required"] == ["name", "concepts"] and declared["additionalProperties"] is False
    dim = declared["properties"]["lora"]["properties"]["dim"]
    assert (dim["type"], dim["default"], dim["minimum"], dim["maximum"]) == ("integer", 16, 1, 1024)
    assert "lora" in declared["properties"]["method"]["enum"]
    assert declared["properties"]["concepts"]["items"]["required"] == ["images"]
    assert declared["properties"]["concepts"]["minItems"] == 1
    layers = declared["properties"]["hypernetwork"]["properties"]["layer_structure"]
    assert layers["items"] == {"type": "number", "exclusiveMinimum": 0, "maximum": 16} and "maximum" not in layers
    assert json.loads(json.dumps(declared)) == declared


@pytest.mark.parametrize("text, good", [("1e-4", True), ("5e-3:200, 1e-3:500, 1e-4", True), (" .5 : 10 ,1.:-1", True), ("abc", False),
                                        ("1e-3:x", False), ("-1", False), ("1e-3,", True), ("5e-3:10, 1e-3:20, ", True), (",", False), ("", False)])
def test_the_schema_knows_a_schedule(text, good):
    pattern = schema(Config)["properties"]["lora"]["properties"]["unet_lr"]["pattern"]
    assert bool(re.search(pattern, text)) == good
    if good:
        schedule.parse(text)
    else:
        with pytest.raises(UserError):
            schedule.parse(text)


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_makes_a_config(name):
    preset = presets.load(name)
    assert set(preset) == {"title", "for", "family", "settings"}
    Config.from_dict(MINIMAL, defaults=preset["settings"])


def test_every_family_has_every_kind_of_preset_at_a_size_of_its_own():
    of_family = {}
    for preset in map(presets.load, presets.names()):
        of_family.setdefault(preset["family"], {})[preset["title"].split(" · ")[0]] = preset["settings"]
    assert set(of_family) == set(families.names()) and len({frozenset(kinds) for kinds in of_family.values()}) == 1
    for name, kinds in of_family.items():
        family = families[name]()
        sizes = {family.resolution, family.resolution_of("v_prediction")}
        for settings in kinds.values():
            config = Config.from_dict(MINIMAL, defaults=overlaid(settings, family.defaults(Variant(resolution=family.resolution))))
            assert config.dataset.resolution in sizes and not by_model(config, family, config.dataset.resolution, [])


@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl"])
@pytest.mark.parametrize("network", ["lora", "loha", "diag-oft", "boft"])
def test_networks_that_the_webui_cannot_draw_on_a_text_encoder_are_told(name, network):
    family = families[name]()
    warnings = [" ".join(by_model(Config.from_dict(MINIMAL, defaults={"lora": {"network": network, "dim": 8, "text_encoder_lr": rate}}), family, 512, []))
            for rate in (1e-5, 0)]
    assert ("cannot draw" in warnings[0]) == (network in ("diag-oft", "boft") and name != "sd1") and "cannot draw" not in warnings[1]


def test_a_misspelt_preset_is_named():
    with pytest.raises(UserError, match="'subject-sd1'"):
        presets.load("subjekt-sd1")


def test_an_optimizer_that_finds_its_rate_gets_1_where_nothing_else_is_said():
    config = Config.from_dict({**MINIMAL, "train": {"optimizer": "Prodigy"}}, defaults={"lora": {"unet_lr": 1e-4}})
    assert (config.lora.unet_lr, config.lora.text_encoder_lr, config.dreambooth.unet_lr) == (1.0, 1.0, 2e-6)
    config = Config.from_dict({**MINIMAL, "train": {"optimizer": "Prodigy"}, "lora": {"text_encoder_lr": 0}})
    assert (config.lora.unet_lr, config.lora.text_encoder_lr) == (1.0, 0)
    assert Config.from_dict({**MINIMAL, "method": "dreambooth", "train": {"optimizer": "Prodigy"}}).dreambooth.text_encoder_lr == 0


@pytest.mark.parametrize("settings, path", [
    ({"train": {"lr_scheduler": "cosine"}, "lora": {"unet_lr": "1e-4:100, 1e-5", "text_encoder_lr": 0}}, "train.lr_scheduler"),
    ({"train": {"lr_warmup_steps": 10}, "lora": {"unet_lr": "1e-4:100, 1e-5", "text_encoder_lr": "1e-5:10, 1e-6"}},
     "train.lr_warmup_steps"),
    ({"method": "hypernetwork", "train": {"stop_text_encoder_training": 9}}, "train.stop_text_encoder_training"),
    ({"method": "hypernetwork", "hypernetwork": {"dropout_structure": [0, 0.5, 0]}}, "hypernetwork.dropout_structure"),
    ({"sample": {"every_n_steps": 2000}}, "sample.every_n_steps"),
    ({"train": {"stop_text_encoder_training": 2000}}, "train.stop_text_encoder_training"),
    ({"train": {"stop_text_encoder_training": 9}, "lora": {"text_encoder_lr": 0}}, "train.stop_text_encoder_training"),
    ({"dataset": {"enable_bucket": False, "bucket_reso_steps": 32}}, "dataset.bucket_reso_steps"),
    ({"dataset": {"bucket_no_upscale": True, "min_bucket_reso": 128}}, "dataset.min_bucket_reso"),
    ({"dataset": {"keep_tokens": 1}}, "dataset.keep_tokens"),
    ({"dataset": {"trigger_words_rate": 0.2}}, "dataset.trigger_words_rate"),
    ({"dataset": {"trigger_words_rate": 0.2}, "concepts": [{"images": "a", "prompt": " "}, {"images": "b", "prompt": "a [name]"}]},
     "dataset.trigger_words_rate"),
    ({"dataset": {"background_aug_rate": 0.1}}, "dataset.background_aug_rate"),
    ({"lora": {"conv_alpha": 4}}, "lora.conv_alpha"),
    ({"lora": {"network": "lokr", "alpha": 1}}, "lora.alpha"),
    ({"method": "textual_inversion", "textual_inversion": {"init_embedding": "old", "init_text": "cat"}}, "textual_inversion.init_text"),
    ({"method": "hypernetwork", "hypernetwork": {"init_hypernetwork": "old", "layer_structure": [1, 4, 1]}},
     "hypernetwork.layer_structure"),
    ({"method": "textual_inversion", "loss": {"prior_preservation": "teacher"}, "concepts": [{"images": "a", "class_prompt": "a cat"}]},
     "loss.prior_preservation"),
    ({"loss": {"prior_loss_weight": 0.5, "prior_preservation": "pictures"}}, "loss.prior_loss_weight"),
    ({"loss": {"teacher_every_n_examples": 2, "prior_preservation": "pictures"}}, "loss.teacher_every_n_examples"),
    ({"loss": {"teacher_caption_dropout_rate": 0.5, "prior_preservation": "pictures"}}, "loss.teacher_caption_dropout_rate"),
    ({"loss": {"prior_preservation": "pictures"}, "concepts": [{"images": "a", "class_prompt": "a cat"}]},
     "concepts[0].class_prompt"),
    ({"concepts": [{"images": "a.toml", "repeats": 3}]}, "concepts[0].repeats"),
    ({"lora": {"unet_lr": "1e-4:100, 1e-5:200", "text_encoder_lr": 0}}, "lora.unet_lr"),
    ({"lora": {"unet_lr": "1e-4:1500, 1e-5", "text_encoder_lr": 0}}, "lora.unet_lr"),
    ({"method": "dreambooth", "train": {"max_grad_norm": 0.5}}, "train.max_grad_norm"),
    ({"loss": {"huber_c": 0.2}}, "loss.huber_c"),
    ({"noise": {"multires_noise_discount": 0.5}}, "noise.multires_noise_discount"),
    ({"train": {"max_train_epochs": 3, "max_train_steps": 100}}, "train.max_train_steps"),
    ({"save": {"keep_last": 3}}, "save.keep_last"),
    ({"method": "textual_inversion", "concepts": [{"images": "a", "class_images": "b", "class_prompt": "a cat"}]},
     "concepts[0].class_images")])
def test_a_setting_that_another_overrules_is_told(settings, path):
    sentences = ineffective(Config.from_dict({**MINIMAL, **settings}))
    assert len(sentences) == 1 and f'"{path}"' in sentences[0] and sentences[0].endswith(".")
    code = recognised(sentences[0])
    assert "has no effect" not in sentences[0] or isinstance(code["values"]["2"], dict), "a reason that no page can translate"


@pytest.mark.parametrize("settings", [
    {}, {"sample": {"every_n_epochs": 1}},  # without prompts the pictures' own are drawn
    {"lora": {"unet_lr": "1e-4:100, 1e-5", "text_encoder_lr": 0}}, {"lora": {"unet_lr": "1e-4:100, 1e-5:1500"}},
    {"loss": {"prior_loss_weight": 0.5}, "concepts": [{"images": "a.toml", "class_prompt": "a cat"}]},
    {"dataset": {"trigger_words_rate": 0.2}, "concepts": [{"images": "a", "prompt": "zwx cat"}, {"images": "b", "prompt": "a [name]"}]},
    {"dataset": {"background_aug_rate": 0.1}, "concepts": [{"images": "a", "prompt": "zwx cat"}]},
    {"dataset": {"keep_tokens": 1, "caption_tag_dropout_rate": 0.1}}, {"method": "hypernetwork", "hypernetwork": {"activation": "swish"}}])
def test_nothing_is_told_of_settings_that_are_followed(settings):
    assert ineffective(Config.from_dict({**MINIMAL, **settings})) == []
    for name in presets.names():
        assert ineffective(Config.from_dict(MINIMAL, defaults=presets.load(name)["settings"])) == [], name


SDXL = families["sdxl"]().defaults(Variant(resolution=1024))


def bucket_sides(config):
    return config.dataset.min_bucket_reso, config.dataset.max_bucket_reso


@pytest.mark.parametrize("dataset, defaults, sides", [
    ({"resolution": 512}, SDXL, (256, 1024)),
    ({"resolution": 512, "min_bucket_reso": 128}, SDXL, (128, 1024)),
    ({"resolution": 160}, {}, (80, 320)),
    ({"resolution": 1024}, {"dataset": {"resolution": 512}}, (512, 2048)),
    ({}, {"dataset": {"resolution": 160}}, (80, 320)),
    ({"resolution": 4096}, {"dataset": {"resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 256}}, (4096, 8192)),
    ({"max_bucket_reso": 1536}, SDXL, (512, 1536))])
def test_bucket_sides_that_are_not_set_keep_their_share_of_the_resolution(dataset, defaults, sides):
    assert bucket_sides(Config.from_dict(MINIMAL | {"dataset": dataset}, defaults)) == sides


def test_a_preset_that_sets_the_resolution_alone_takes_the_models_bucket_sides_along():
    assert bucket_sides(Config.from_dict(MINIMAL, laid_over({"dataset": {"resolution": 768}}, SDXL))) == (384, 1536)
    assert laid_over({"dataset": {"resolution": "a"}}, SDXL)["dataset"]["resolution"] == "a", "told by who reads it"


@pytest.mark.parametrize("dataset, key", [({"resolution": 160, "min_bucket_reso": 256}, "min_bucket_reso"),
                                          ({"resolution": 384, "max_bucket_reso": 256}, "max_bucket_reso")])
def test_bucket_sides_that_leave_squares_or_smaller_pictures_are_told(dataset, key):
    """And not refused: runs were begun with them."""
    def told(**more):
        return [sentence for sentence in ineffective(Config.from_dict(MINIMAL | {"dataset": dataset | more}))
                if sentence.startswith(f'"dataset.{key}" is 256 and "dataset.resolution"')]

    assert len(told()) == 1 and not told(enable_bucket=False) and not told(bucket_no_upscale=True)


def test_half_of_what_a_model_was_made_for_is_told():
    family = families["sdxl"]()
    warnings = by_model(Config.from_dict(MINIMAL | {"dataset": {"resolution": 512}}, SDXL), family, 1024, [])
    assert any('"dataset.resolution" is 512' in sentence for sentence in warnings)
    assert not by_model(Config.from_dict(MINIMAL | {"dataset": {"resolution": 768}}, SDXL), family, 1024, [])
