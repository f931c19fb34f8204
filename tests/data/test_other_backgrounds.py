"""When pictures are shown before another background, on sets whose backgrounds are known."""

from dataclasses import replace

import pytest
from PIL import Image

from lib_sdtune.config import Config
from lib_sdtune.data.loader import Dataset
from lib_sdtune.data.plain_background import Other
from lib_sdtune.data.scan import scan
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.loss import LossConfig
from lib_sdtune.sections.validation import ValidationConfig
from tests.data import awful

WHITE, BLACK = (250, 250, 250), (10, 10, 20)


def of_grounds(folder, grounds, prompt="ron cat", **options):
    """The Dataset of a red square before each of the grounds, with captions; None for a ground that is not plain."""
    folder.mkdir()
    for number, ground in enumerate(grounds):
        picture = Image.new("RGB", (64, 64), ground) if ground else awful.scene(64, 64)
        picture.paste((200, 20, 20), (20, 20, 44, 44 + number))
        picture.save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a red ron cat on something", encoding="utf-8")
    config = Config(name="ron", concepts=[Concept(images=str(folder), prompt=prompt)],
                    dataset=DatasetConfig(**{"background_aug_rate": 0.5} | options))
    return Dataset(scan(config.concepts, config.dataset, LossConfig(), folder), config)


def shown(dataset, count=200):
    return [dataset.example(0, occurrence) for occurrence in range(count)]


@pytest.mark.parametrize("grounds, dark", [([WHITE, WHITE], True), ([BLACK, BLACK], False), ([WHITE, None], True)])
def test_a_set_that_is_all_bright_or_all_dark_gets_what_it_lacks(tmp_path, grounds, dark):
    examples = shown(of_grounds(tmp_path / "set", grounds))
    others = [example for example in examples if example.background]
    assert 70 < len(others) < 130 and {example.background.dark for example in others} == {dark}
    assert {example.caption for example in others} == {"ron cat", "a photo of a ron cat"}, "a caption may name the ground"
    assert {example.caption for example in examples if not example.background} == {"a red ron cat on something"}


@pytest.mark.parametrize("grounds", [[WHITE, BLACK], [None, None]])
def test_a_set_that_has_both_or_nothing_plain_stays_as_it_is(tmp_path, grounds):
    dataset = of_grounds(tmp_path / "set", grounds)
    without = replace(dataset.config, dataset=replace(dataset.dataset, background_aug_rate=0.0))
    assert shown(dataset) == shown(Dataset(dataset.scan, without))


@pytest.mark.parametrize("prompt", ["", "a drawing of [filewords]"])
def test_without_trigger_words_that_stand_alone_every_background_is_the_pictures_own(tmp_path, prompt):
    dataset = of_grounds(tmp_path / "set", [WHITE], prompt)
    assert {example.background for example in shown(dataset)} == {None} == {variant.background for variant in dataset.variants()}


def test_what_is_encoded_beforehand_is_what_is_shown(tmp_path):
    dataset = of_grounds(tmp_path / "set", [WHITE])
    assert {example.background for example in shown(dataset)} == {variant.background for variant in dataset.variants()}
    assert {example.caption for example in shown(dataset)} <= set(dataset.fixed_captions())


def test_held_out_pictures_keep_their_background(tmp_path):
    training = of_grounds(tmp_path / "set", [WHITE, WHITE])
    config = replace(training.config, validation=ValidationConfig(split=0.5))
    held_out = Dataset(training.scan, config, held_out=True)
    assert {example.background for example in held_out.variants()} == {None}
    assert {held_out.example(held_out.chosen[0], occurrence).background for occurrence in range(20)} == {None}


def test_a_picture_that_is_gone_is_left_out_of_the_count(tmp_path):
    dataset = of_grounds(tmp_path / "set", [WHITE, BLACK])
    (tmp_path / "set" / "1.png").unlink()
    assert dataset.other_backgrounds.all() == [Other(True, number) for number in range(4)]
