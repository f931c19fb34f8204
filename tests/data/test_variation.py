"""Captions from one showing to the next, by sd-scripts' options of these names."""

from collections import Counter

import pytest

from lib_sdtune.config import Config
from lib_sdtune.data.loader import Dataset
from lib_sdtune.data.scan import scan
from lib_sdtune.data.variation import Moment, is_fixed, unvaried, vary
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.loss import LossConfig
from tests.hosts import pictures


def varied(caption, moment=None, **options):
    return [vary(caption, DatasetConfig(**options), 1, 0, occurrence, moment) for occurrence in range(200)]


def test_wildcards_choose_evenly_and_doubled_brackets_stay():
    counts = Counter(varied("a {red|blue} hat, {{x}}, {one}", enable_wildcard=True))
    assert set(counts) == {"a red hat, {x}, one", "a blue hat, {x}, one"} and min(counts.values()) > 60
    assert set(varied("a {red|blue} hat")) == {"a {red|blue} hat"}
    assert unvaried("a {red|blue} hat", DatasetConfig(enable_wildcard=True), 1, 0) in ("a red hat", "a blue hat")


def test_of_several_lines_one_is_chosen(tmp_path):
    folder = pictures(tmp_path / "pictures", 1)
    (folder / "0.txt").write_text("a red {hat|cap}\n\na blue hat\n", encoding="utf-8")
    dataset = DatasetConfig(enable_wildcard=True, caption_prefix="ron,")
    scanned = scan([Concept(images=str(folder))], dataset, LossConfig(), tmp_path)
    (picture,) = scanned.pictures
    assert not scanned.problems
    assert set(varied(picture.caption, enable_wildcard=True)) == {"ron, a red hat", "ron, a red cap", "ron, a blue hat"}
    (first,) = scan([Concept(images=str(folder))], DatasetConfig(), LossConfig(), tmp_path).pictures
    assert first.caption == "a red {hat|cap}"


@pytest.mark.parametrize("caption, kept", [
    ("ron, cat ||| a, b, c", ("ron, cat, ", "")), ("ron ||| a, b ||| best", ("ron, ", ", best")), ("a, b, c", ("", ""))])
def test_tags_on_the_outer_side_of_a_separator_stay_where_they_are(caption, kept):
    captions = set(varied(caption, keep_tokens_separator="|||", shuffle_caption=True, keep_tokens=0))
    assert len(captions) > 1 and all(text.startswith(kept[0]) and text.endswith(kept[1]) and "|" not in text for text in captions)


def test_a_separator_is_never_said_also_without_shuffling():
    assert set(varied("ron ||| a;;;b, c", keep_tokens_separator="|||", secondary_separator=";;;")) == {"ron, a, b, c"}


def test_a_secondary_separator_keeps_tags_together():
    captions = varied("a;;;b, c, d", secondary_separator=";;;", shuffle_caption=True)
    assert all("a, b" in text and ";" not in text for text in captions) and len(set(captions)) == 6


@pytest.mark.parametrize("step, steps, count", [(0, 10, 1), (5, 10, 3), (9, 10, 4), (10, 10, 5), (50, 0.5, 5), (25, 0.5, 3)])
def test_tags_are_warmed_up_as_in_sd_scripts(step, steps, count):
    """floor(step * (tags - least) / steps) + least; below 1 the steps are a share of the run's 100."""
    captions = varied("k, a, b, c, d, e", Moment(1, step, 100), token_warmup_min=1, token_warmup_step=steps, keep_tokens=1)
    assert {len(text.split(", ")) for text in captions} == {1 + count}


def test_every_second_epoch_goes_without_captions_and_a_prefix_comes_with_each(tmp_path):
    options = {"caption_dropout_every_n_epochs": 2, "caption_prefix": "photo,", "caption_suffix": "best", "resolution": 128}
    config = Config(name="ron", concepts=[Concept(images=str(pictures(tmp_path / "2_ron")))], dataset=DatasetConfig(**options))
    data = Dataset(scan(config.concepts, config.dataset, LossConfig(), tmp_path), config)
    slots = data.steps_per_epoch
    epochs = [[example.caption for slot in range(number * slots, (number + 1) * slots) for example in data.examples(slot)]
              for number in range(4)]
    assert [set(epoch) == {""} for epoch in epochs] == [False, True, False, True]
    assert set(epochs[0]) == {f"photo, a cat, number {number} best" for number in range(3)}


@pytest.mark.parametrize("options, fixed", [
    ({}, True), ({"enable_wildcard": True}, False), ({"token_warmup_step": 0.5}, False), ({"caption_dropout_rate": 0.5}, True)])
def test_whether_a_picture_has_one_caption(options, fixed):
    assert is_fixed(DatasetConfig(**options)) == fixed


def of_folder(tmp_path, prompt, **options):
    """The Dataset of two pictures, one with a caption."""
    folder = pictures(tmp_path / "pictures", 2)
    (folder / "0.txt").write_text("a red ron cat", encoding="utf-8")
    (folder / "1.txt").unlink(missing_ok=True)
    config = Config(name="ron", concepts=[Concept(images=str(folder), prompt=prompt)], dataset=DatasetConfig(**options))
    return Dataset(scan(config.concepts, config.dataset, LossConfig(), tmp_path), config)


def test_trigger_words_are_said_alone_at_their_rate_and_as_people_type_them(tmp_path):
    dataset = of_folder(tmp_path, "ron cat", trigger_words_rate=0.25)
    captions = Counter(dataset.example(0, occurrence).caption for occurrence in range(400))
    assert set(captions) == {"a red ron cat", "ron cat", "a photo of a ron cat"}
    assert 60 < captions["ron cat"] + captions["a photo of a ron cat"] < 140 and min(captions.values()) > 20
    assert set(captions) | {""} <= set(dataset.fixed_captions()), "what is not encoded beforehand would wait for encoders that are away"


def test_trigger_words_alone_leave_other_captions_as_they_are(tmp_path):
    untouched = of_folder(tmp_path / "none", "ron cat")
    assert {untouched.example(0, n).caption for n in range(50)} == {"a red ron cat"}
    template = of_folder(tmp_path / "template", "a drawing of [filewords]", trigger_words_rate=1.0)
    assert {template.example(0, n).caption for n in range(20)} == {"a drawing of a red ron cat"}
    unmoved = Dataset(template.scan, template.config, held_out=True)
    assert unmoved.example(0, 0).caption == "a drawing of a red ron cat"
    wordless = of_folder(tmp_path / "wordless", "", trigger_words_rate=1.0)
    assert {wordless.example(0, n).caption for n in range(20)} == {"a red ron cat"}


def test_captions_that_are_left_out_are_not_put_in_the_trigger_words_place(tmp_path):
    dataset = of_folder(tmp_path, "ron cat", trigger_words_rate=1.0, caption_dropout_every_n_epochs=2)
    assert {dataset.example(0, n, Moment(epoch=2)).caption for n in range(20)} == {""}
    assert "" not in {dataset.example(0, n, Moment(epoch=1)).caption for n in range(20)}


def test_prefix_and_suffix_stand_beside_trigger_words_too(tmp_path):
    dataset = of_folder(tmp_path, "ron cat", trigger_words_rate=1.0, caption_prefix="drawn,", caption_suffix="best")
    captions = {dataset.example(0, n).caption for n in range(40)}
    assert captions == {"drawn, ron cat best", "drawn, a photo of a ron cat best"} and captions <= set(dataset.fixed_captions())
