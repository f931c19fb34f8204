"""What is told about a run before it begins."""

from dataclasses import replace

import pytest
from PIL import Image

from lib_sdtune.config import Config
from lib_sdtune.data.loader import Dataset
from lib_sdtune.data.scan import Scan, scan
from lib_sdtune.sentences import PARTS, recognised
from lib_sdtune.training.recipe import recipe
from tests.hosts import pictures, settings


def told(tmp_path, captions=True, steps=30, **changes):
    folder = pictures(tmp_path / "1_ron")
    for text in folder.glob("*.txt") if not captions else ():
        text.unlink()
    concept = {"images": str(folder), "prompt": "ron cat"}
    config = Config.from_dict(settings("", **{"concepts": [concept], "train": {}, **changes}))
    config.train.max_train_steps = steps
    return recipe(config, Dataset(scan(config.concepts, config.dataset, config.loss, tmp_path), config))


def test_what_learns_and_how_often_pictures_are_shown(tmp_path):
    line = told(tmp_path)
    assert "LoRA of dim 4 learns with AdamW and the schedule constant_with_warmup (UNet 0.001, text encoder 0.001)." in line
    assert "30 steps with 3 pictures: each is shown about 10 times." in line


@pytest.mark.parametrize("lora", [{"network": "ia3"}, {"init_file": "before"}])
def test_no_dim_is_told_where_the_settings_have_none(tmp_path, lora):
    assert "Recipe: LoRA learns with" in told(tmp_path, lora=lora)


def of(config, *pictures):
    """The recipe for these pictures of `scan`."""
    return recipe(config, Dataset(Scan(list(pictures)), config))


@pytest.mark.parametrize("changes, times", [
    ({"train": {"batch_size": 3}}, "30 times"), ({"train": {"batch_size": 2}}, "15 times"),
    ({"train": {"batch_size": 64}}, "30 times"),  # a batch has no more than there is
    ({"train": {"batch_size": 2, "gradient_accumulation_steps": 2}}, "30 times"), ({"validation": {"split": 0.4}}, "with 2 pictures: each is shown about 15 times")])
def test_showings_are_counted_as_the_epochs_give_them(tmp_path, changes, times):
    assert times in told(tmp_path, **changes)


def test_class_pictures_take_their_share_of_the_showings(tmp_path):
    folder = pictures(tmp_path / "1_ron")
    config = Config.from_dict(settings(folder, train={"max_train_steps": 30}))
    scanned = scan(config.concepts, config.dataset, config.loss, tmp_path).pictures
    of_class = [replace(picture, is_class=True) for picture in scanned]
    assert "30 steps with 3 pictures: each is shown about 5 times" in of(config, *scanned, *of_class)


def test_a_run_that_ends_by_itself_says_what_is_measured(tmp_path):
    line = told(tmp_path, train={"stop": "auto"})
    assert "At most 30 steps" in line and "the loss of the pictures no longer improves" in line
    assert "loss of pictures kept aside" in told(tmp_path / "aside", train={"stop": "auto"}, validation={"split": 0.4})


@pytest.mark.parametrize("words, told_so", [([], 'say "ron cat"'), (["red, blue"], "the model itself says")])
def test_where_words_come_from(tmp_path, words, told_so):
    assert told_so in told(tmp_path, captions=False, dataset={"describe": words})
    line = told(tmp_path / "with", dataset={"describe": words})
    assert told_so not in line


def test_how_often_trigger_words_stand_alone(tmp_path):
    assert "At 20 % of the showings the trigger words stand alone" in told(tmp_path, dataset={"trigger_words_rate": 0.2})
    assert "alone" not in told(tmp_path / "without")
    template = Config.from_dict(settings("x", concepts=[{"images": "x", "prompt": "a [name]"}], dataset={"trigger_words_rate": 0.2}))
    assert "alone" not in of(template)


def test_which_backgrounds_are_added(tmp_path):
    rate = {"background_aug_rate": 0.1}
    folder = tmp_path / "bright"
    folder.mkdir()
    Image.new("RGB", (64, 64), (240, 240, 240)).save(folder / "0.png")
    bright = {"concepts": [{"images": str(folder), "prompt": "ron cat"}]}
    assert "All plain backgrounds are bright, so at 10 % of the showings one is dark." in told(tmp_path, dataset=rate, **bright)
    Image.new("RGB", (64, 64), (10, 10, 10)).save(folder / "1.png")
    assert "background" not in told(tmp_path / "both", dataset=rate, **bright)
    assert "background" not in told(tmp_path / "never", **bright)


def test_what_keeps_the_class(tmp_path):
    assert 'The untouched model keeps "a photo of a cat" as it is' in told(tmp_path, loss={"prior_preservation": "auto"})
    assert "untouched" not in told(tmp_path / "without")


def test_class_pictures_are_named(tmp_path):
    folder = pictures(tmp_path / "1_ron")
    config = Config.from_dict(settings(folder))
    scanned = scan(config.concepts, config.dataset, config.loss, tmp_path).pictures
    assert "Class pictures keep the class" in of(config, scanned[0], replace(scanned[1], is_class=True))
    assert "Class pictures" not in of(replace(config, loss=replace(config.loss, prior_loss_weight=0)), scanned[0], replace(scanned[1], is_class=True))


@pytest.mark.parametrize("changes", [{}, {"train": {"stop": "auto"}}, {"loss": {"prior_preservation": "auto"}}, {"dataset": {"describe": ["red, blue"]}}, {"dataset": {"trigger_words_rate": 0.2}},
                                     {"method": "textual_inversion", "textual_inversion": {"lr": 0.01}}])
@pytest.mark.parametrize("captions", [True, False])
def test_every_part_can_be_said_in_another_language(tmp_path, captions, changes):
    parts = PARTS.split(told(tmp_path, captions, **changes))
    assert len(parts) >= 2 and all(map(recognised, parts)), parts
    if changes.get("method") != "textual_inversion":
        values = recognised(parts[0])["values"]
        assert values["1"]["code"] == "{1} of dim {2}" and values["4"]["code"] == "UNet {1}, text encoder {2}"
