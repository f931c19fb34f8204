"""Captions from one showing to the next, by sd-scripts' options of these names."""

from collections import Counter

import pytest

from lib_sdtune.config import Concept, Config, DatasetConfig, LossConfig
from lib_sdtune.data.loader import Dataset
from lib_sdtune.data.scan import scan
from lib_sdtune.data.variation import Moment, is_fixed, unvaried, vary
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
    said = set(varied(caption, keep_tokens_separator="|||", shuffle_caption=True, keep_tokens=0))
    assert len(said) > 1 and all(text.startswith(kept[0]) and text.endswith(kept[1]) and "|" not in text for text in said)


def test_a_separator_is_never_said_also_without_shuffling():
    assert set(varied("ron ||| a;;;b, c", keep_tokens_separator="|||", secondary_separator=";;;")) == {"ron, a, b, c"}


def test_a_secondary_separator_keeps_tags_together():
    said = varied("a;;;b, c, d", secondary_separator=";;;", shuffle_caption=True)
    assert all("a, b" in text and ";" not in text for text in said) and len(set(said)) == 6


@pytest.mark.parametrize("step, steps, count", [(0, 10, 1), (5, 10, 3), (9, 10, 4), (10, 10, 5), (50, 0.5, 5), (25, 0.5, 3)])
def test_tags_are_warmed_up_as_in_sd_scripts(step, steps, count):
    """floor(step * (tags - least) / steps) + least; below 1 the steps are a share of the run's 100."""
    said = varied("k, a, b, c, d, e", Moment(1, step, 100), token_warmup_min=1, token_warmup_step=steps, keep_tokens=1)
    assert {len(text.split(", ")) for text in said} == {1 + count}


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
