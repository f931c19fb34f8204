from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from lib_sdtune.config import Config
from lib_sdtune.data.example import Picture
from lib_sdtune.data.loader import Dataset, shares
from lib_sdtune.data.scan import Scan

SHAPES = [(512, 512), (768, 512), (512, 768), (1500, 500)]


def pictures(count, repeats=1, is_class=False, concept=0, content=""):
    return [Picture(Path(f"{n}.png"), *SHAPES[n % 4], f"tag{n}, b, c, d", "file", f"{content or is_class}{n}", repeats, is_class,
                    0.5 if is_class else 1.0, concept, "f") for n in range(count)]


def dataset(shown, held_out=False, copies=1, split=0.0, train=None, **settings):
    config = Config.from_dict({"name": "x", "concepts": [{"images": "."}] * 2, "dataset": settings,
                               "train": {"batch_size": 2, **(train or {})}, "validation": {"split": split}})
    return Dataset(Scan(shown), config, held_out, copies)


def epoch(data, number):
    slots = data.steps_per_epoch * data.together
    return [data.examples(micro_step) for micro_step in range(number * slots, (number + 1) * slots)]


def test_every_epoch_shows_every_repeat_once():
    data = dataset(pictures(7, repeats=3) + pictures(3, repeats=1, content="other"))
    for number in (0, 1, 5):
        shown = Counter(example.index for batch in epoch(data, number) for example in batch)
        assert shown == {index: 3 if index < 7 else 1 for index in range(10)}


def test_one_bucket_a_batch_and_the_last_batch_is_kept():
    data = dataset(pictures(9))
    batches = epoch(data, 0)
    assert len(batches) == data.batches_per_epoch == data.steps_per_epoch
    assert all(len({example.size for example in batch}) == 1 for batch in batches)
    assert sorted(map(len, batches)) == [1, 2, 2, 2, 2]


def test_orders_differ_between_epochs_and_seeds_but_not_between_calls():
    order = [[example.index for example in sum(epoch(dataset(pictures(30)), number), [])] for number in (0, 1, 0)]
    other = [example.index for example in sum(epoch(dataset(pictures(30), train={"seed": 7}), 0), [])]
    assert order[0] == order[2] != order[1] and other != order[0]


def test_any_step_can_be_asked_first():
    busy = {"flip_aug": True, "random_crop": True, "shuffle_caption": True, "caption_dropout_rate": 0.3}
    shown = pictures(7, repeats=2) + pictures(5, is_class=True)
    walked = dataset(shown, **busy)
    straight = [walked.examples(step) for step in range(60)]
    for step in (59, 17, 40, 0):
        assert dataset(shown, **busy).examples(step) == straight[step]


def test_accumulation_never_lets_a_step_straddle_epochs():
    data = dataset(pictures(5), train={"batch_size": 1, "gradient_accumulation_steps": 4})
    assert data.steps_per_epoch == 2
    assert [len(batch) for batch in epoch(data, 0)] == [1, 1, 1, 1, 1, 0, 0, 0]
    assert data.epoch(7) == 0 and data.epoch(8) == 1


def test_two_processes_share_an_epoch():
    data = dataset(pictures(8), copies=2, train={"batch_size": 1})
    assert data.steps_per_epoch == 4
    both = [data.examples(step * 2 + rank)[0].index for step in range(4) for rank in (0, 1)]
    assert sorted(both) == list(range(8))


@pytest.mark.parametrize("instances, repeats, classes, class_repeats", [(6, 1, 4, 1), (3, 10, 7, 2), (2, 1, 50, 1), (5, 2, 1, 1)])
def test_as_many_class_pictures_as_instances_and_each_gets_its_turn(instances, repeats, classes, class_repeats):
    data = dataset(pictures(instances, repeats) + pictures(classes, class_repeats, is_class=True))
    seen = Counter()
    for number in range(60):
        batch = sum(epoch(data, number), [])
        of_class = [example for example in batch if example.picture.is_class]
        assert len(of_class) == len(batch) - len(of_class) == instances * repeats
        assert all(example.weight == 0.5 for example in of_class)
        seen.update(example.index for example in of_class)
    buckets = {data.fits[index].size for index in seen}
    assert {index for index in range(instances, instances + classes) if data.fits[index].size in buckets} == set(seen)


def test_showings_are_counted_without_gaps():
    data = dataset(pictures(3, repeats=2) + pictures(4, repeats=3, is_class=True))
    counts = {}
    for example in (example for number in range(12) for example in sum(epoch(data, number), [])):
        counts.setdefault(example.index, []).append(example.occurrence)
    assert all(sorted(times) == list(range(len(times))) for times in counts.values())


def test_class_pictures_are_as_many_as_the_instances_of_all_concepts_as_in_sd_scripts():
    shown = pictures(2, 3, content="a") + pictures(5, 1, concept=1, content="b") + pictures(9, 1, is_class=True, concept=1)
    batch = sum(epoch(dataset(shown), 0), [])
    assert Counter((example.picture.concept, example.picture.is_class) for example in batch) == {(0, False): 6, (1, False): 5, (1, True): 11}


def test_mirrored_half_of_the_time():
    data = dataset(pictures(6, repeats=4), flip_aug=True)
    shown = Counter((example.index, example.flip) for example in sum(epoch(data, 0), []))
    assert set(shown.values()) == {2} and len(shown) == 12
    assert not any(example.flip for example in sum(epoch(dataset(pictures(6)), 0), []))


def test_crops_stay_inside_and_are_few_when_latents_are_cached():
    data = dataset(pictures(4, repeats=60), random_crop=True, flip_aug=True)
    crops = {}
    for example in sum(epoch(data, 0), []) + sum(epoch(data, 1), []):
        assert 0 <= example.crop[0] <= example.scaled[0] - example.size[0] and 0 <= example.crop[1] <= example.scaled[1] - example.size[1]
        crops.setdefault(example.index, set()).add(example.crop)
    assert len(crops[0]) == 1 and 2 < len(crops[1]) <= 8
    keys = {(example.index, example.crop, example.flip) for example in data.variants()}
    assert {(example.index, example.crop, example.flip) for example in sum(epoch(data, 0), [])} <= keys
    assert len(keys) == len(list(data.variants())) <= 4 * 16


def test_variants_are_grouped_by_bucket_and_only_what_is_used():
    data = dataset(pictures(4) + pictures(40, is_class=True))
    sizes = [example.size for example in data.variants()]
    assert sizes == sorted(sizes) and len(sizes) == 44
    assert len(list(data.variants(epochs=1))) == 8


def test_validation_pictures_depend_on_content_and_never_train():
    shown = pictures(20)
    aside, rest = dataset(shown, held_out=True, split=0.2, flip_aug=True, shuffle_caption=True), dataset(shown, split=0.2)
    assert len(aside.pictures) == 4 and len(rest.pictures) == 16
    assert not {picture.content for picture in aside.pictures} & {picture.content for picture in rest.pictures}
    turned = dataset(list(reversed(shown)), held_out=True, split=0.2)
    assert {picture.content for picture in turned.pictures} == {picture.content for picture in aside.pictures}
    examples = sum((aside.examples(step) for step in range(aside.batches_per_epoch)), [])
    assert sorted(example.index for example in examples) == aside.chosen
    assert all(not example.flip and example.caption == example.picture.caption for example in examples)


def test_one_picture_is_never_kept_aside():
    assert dataset(pictures(1), split=0.5).pictures and not dataset(pictures(1), held_out=True, split=0.5).pictures


def test_templates_name_the_subject():
    data = dataset(pictures(1, repeats=30))
    data.scan.templates[0] = ["a photo of [name]", "[name] with [filewords]"]
    assert {example.caption for example in sum(epoch(data, 0), [])} == {"a photo of x", "x with tag0, b, c, d"}


def test_templates_are_dropped_like_captions_but_never_the_name_that_is_learned():
    data = dataset(pictures(1, repeats=60), caption_dropout_rate=0.5)
    data.scan.templates[0] = ["a photo of [name]"]
    assert {example.caption for example in sum(epoch(data, 0), [])} == {"", "a photo of x"}
    data.scan.needs_name = True
    assert {example.caption for example in sum(epoch(data, 0), [])} == {"a photo of x"}


def test_shares_are_whole_and_complete():
    assert shares(10, {"a": 1, "b": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}
    assert shares(1, {"a": 1, "b": 5}) == {"a": 0, "b": 1}
    assert shares(5, {}) == {}


def test_a_large_set_is_planned_fast_enough_to_be_unnoticed():
    data = dataset(pictures(2000, repeats=10))
    assert len(list(islice(data.variants(), 3000))) == 2000
    assert len(data.examples(123_456)) <= 2


def test_without_a_cache_every_showing_is_cut_anew():
    data = dataset(pictures(2, repeats=60), random_crop=True, cache_latents=False)
    cuts = {example.crop for example in sum(epoch(data, 0), []) if example.index == 1}
    assert len(cuts) > 30
