"""Whose settings are told to have no effect: those that somebody asked for, and no others."""

import pytest

from lib_sdtune import networks, presets
from lib_sdtune.config import Config
from lib_sdtune.formats.files import write_json
from lib_sdtune.formats.plain_data import overlaid
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.ineffective_settings import ineffective
from lib_sdtune.methods import registry as methods
from lib_sdtune.training.runs import RunFolder

LEAST = {"name": "ron", "concepts": [{"images": "train/10_ron"}]}
SUITED = {"dataset": {"trigger_words_rate": 0.2}, "save": {"every_n_steps": 500, "keep_last": 2}, "train": {"max_train_steps": 300}}


@pytest.mark.parametrize("method", [{"method": name} for name in methods.names()]
                         + [{"lora": {"network": name}} for name in networks.registry.names()], ids=str)
def test_nothing_is_told_of_what_suits_the_model(tmp_path, method):
    assert ineffective(Config.from_dict({**LEAST, **method}, EmbeddedHost(tmp_path, device="cpu").defaults())) == []


def test_nothing_is_told_of_what_a_preset_brings():
    assert ineffective(Config.from_dict(LEAST, SUITED)) == []
    assert ineffective(Config.from_dict(overlaid({"train": {"max_train_epochs": 2}}, LEAST), SUITED)) == []
    for name in presets.names():
        short = overlaid({"train": {"max_train_steps": 10}}, LEAST)
        assert ineffective(Config.from_dict(short, presets.load(name)["settings"])) == [], name


def test_the_same_is_told_where_it_was_asked_for():
    (sentence,) = ineffective(Config.from_dict(overlaid({"dataset": {"trigger_words_rate": 0.2}}, LEAST), SUITED))
    assert sentence.startswith('"dataset.trigger_words_rate" has no effect')


@pytest.mark.parametrize("settings", [
    {"train": {"max_train_steps": 0, "max_train_epochs": 3}}, {"method": "dreambooth", "train": {"max_grad_norm": 0}}])
def test_nothing_is_told_of_what_is_switched_off(settings):
    assert ineffective(Config.from_dict({**LEAST, **settings})) == []


def test_a_run_that_goes_on_from_its_folder_tells_nothing_anew(tmp_path):
    write_json(tmp_path / "config.json", Config.from_dict(LEAST, SUITED).to_dict())
    assert ineffective(RunFolder(tmp_path).config()) == []


@pytest.mark.parametrize("changes", [
    {"lr_scheduler": "cosine", "lr_warmup_steps": 2}, {"lr_scheduler": "cosine_with_restarts", "lr_scheduler_num_cycles": 2},
    {"lr_scheduler": "polynomial", "lr_scheduler_power": 2}])
def test_a_scheduler_that_one_of_the_rates_follows_has_an_effect(changes):
    settings = {"train": changes, "lora": {"unet_lr": "1e-3:100, 1e-4", "text_encoder_lr": 1e-3}}
    assert ineffective(Config.from_dict({**LEAST, **settings})) == []


@pytest.mark.parametrize("changes", [{"lr_scheduler": "cosine_with_min_lr", "lr_scheduler_min_lr_ratio": 0.1},
                                     {"lr_scheduler": "inverse_sqrt", "lr_scheduler_timescale": 50}])
def test_no_part_of_a_scheduler_has_an_effect_where_every_rate_is_a_text(changes):
    settings = {"train": changes, "lora": {"unet_lr": "1e-3:100, 1e-4", "text_encoder_lr": 0}}
    sentences = ineffective(Config.from_dict({**LEAST, **settings}))
    assert sorted(sentence.split('"')[1] for sentence in sentences) == sorted(f"train.{key}" for key in changes)


def test_a_run_of_one_step_is_said_to_have_one():
    short = overlaid({"train": {"max_train_steps": 1}, "save": {"every_n_steps": 5}}, LEAST)
    assert [sentence for sentence in ineffective(Config.from_dict(short)) if sentence.endswith("the run has 1 step.")]
