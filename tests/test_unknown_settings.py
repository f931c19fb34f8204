"""An unknown setting is refused with the one that was probably meant."""

import pytest

from lib_sdtune.config import Config
from lib_sdtune.errors import UserError

MEANT = {"train.max_train_step": "max_train_steps", "dataset.resolutoin": "resolution",  # typing mistakes
         "max_train_steps": "train.max_train_steps", "train.resolution": "dataset.resolution", "dataset.batch_size": "train.batch_size",
         "lora.rank": "dim", "network_dim": "lora.dim", "train.steps": "max_train_steps", "train.epochs": "max_train_epochs",
         "train.learning_rate": "lora.unet_lr", "dreambooth.lr": "unet_lr", "hypernetwork.learning_rate": "lr", "concepts[0].caption": "prompt",
         "concepts[0].max_train_stepz": "train.max_train_steps"}


@pytest.mark.parametrize("path", MEANT)
def test_the_setting_that_was_meant_is_named(path):
    data = {"name": "ron", "concepts": [{"images": "x"}]}
    group, _, key = path.rpartition(".")
    (data["concepts"][0] if group == "concepts[0]" else data.setdefault(group, {}) if group else data)[key] = 1
    with pytest.raises(UserError) as refusal:
        Config.from_dict(data)
    assert f'"{path}" is not a setting (did you mean \'{MEANT[path]}\'?)' in str(refusal.value)


@pytest.mark.parametrize("group", ["", "train", "lora", "sample"])
def test_some_setting_is_named_however_far_away_it_is(group):
    data = {"name": "ron", "concepts": [{"images": "x"}]}
    (data.setdefault(group, {}) if group else data)["qqq"] = 1
    with pytest.raises(UserError, match="did you mean"):
        Config.from_dict(data)


@pytest.mark.parametrize("value, meant", [(True, "on"), (False, "off"), ("auto", "auto")])
def test_yes_and_no_are_taken_where_a_setting_is_on_or_off(value, meant):
    config = Config.from_dict({"name": "ron", "concepts": [{"images": "x"}], "train": {"gradient_checkpointing": value}})
    assert config.train.gradient_checkpointing == meant
