"""Which examples each step learns from, as a pure function of the seed and the step.

An epoch shows every instance picture `repeats` times, and as many class pictures as instance pictures; the batches of
any step are known without running the steps before it, so a resumed run goes on where it was.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from lib_sdtune import randomness
from lib_sdtune.data import captions
from lib_sdtune.data.buckets import Buckets, slack
from lib_sdtune.data.folder import Picture

CROPS = 8  # random crops of one picture when latents are cached: as many entries, times two if mirrored


@dataclass(frozen=True)
class Example:
    """One picture as it is shown once.

    index: the picture's stable number. occurrence: how often it was shown before. size: (width, height) of its bucket.
    The picture is scaled to `scaled`, cut at `crop` (left, top), then mirrored if `flip`. weight: its share of the loss.
    """

    picture: Picture
    index: int
    occurrence: int
    caption: str
    size: tuple
    crop: tuple
    flip: bool
    weight: float
    scaled: tuple


class Unit(NamedTuple):
    """A picture and which of its repeats."""

    index: int  # type: ignore[assignment]  # of the picture, not the tuple's method
    repeat: int


class Dataset:
    """The examples of a scan under a config.

    held_out: only the pictures that `validation.split` keeps aside (once each, centred, unmirrored), instead of all others.
    copies: processes that train together; the slots of an epoch are then a multiple of accumulation x copies.
    """

    def __init__(self, scan, config, held_out=False, copies=1):
        self.scan, self.config, self.held_out = scan, config, held_out
        self.dataset, self.seed, self.batch_size = config.dataset, config.train.seed, config.train.batch_size
        self.together = config.train.gradient_accumulation_steps * copies
        buckets = Buckets(config.dataset)
        self.places = [buckets.place(picture.width, picture.height) for picture in scan.pictures]
        self.chosen = chosen(scan.pictures, config.validation.split, held_out)
        self.fixed = self.instance_units()
        self.turning = {} if held_out else self.class_units()
        self._plan = lru_cache(maxsize=2)(self.plan)

    @property
    def pictures(self):
        """The pictures of this part, without those of the other."""
        return [self.scan.pictures[index] for index in self.chosen]

    @property
    def batches_per_epoch(self):
        sizes = {*self.fixed, *self.turning}
        return sum(math.ceil(self.units_of(size) / self.batch_size) for size in sizes)

    @property
    def steps_per_epoch(self):
        return math.ceil(self.batches_per_epoch / self.together)

    @property
    def examples_per_epoch(self):
        return sum(self.units_of(size) for size in {*self.fixed, *self.turning})

    @property
    def bucket_counts(self):
        """{(width, height): examples an epoch}, sorted."""
        return {size: self.units_of(size) for size in sorted({*self.fixed, *self.turning})}

    def units_of(self, size):
        units, quota = self.turning.get(size, ([], 0))
        return len(self.fixed.get(size, [])) + quota

    def examples(self, micro_step):
        """The batch of one forward and backward: examples of one bucket, at most batch_size of them.

        Every epoch takes steps_per_epoch x accumulation micro-steps; where the batches don't fill the last step, its
        remaining micro-steps are empty lists.
        """
        epoch, position = divmod(micro_step, self.steps_per_epoch * self.together)
        batches = self._plan(epoch)
        return [self.example(*unit) for unit in batches[position]] if position < len(batches) else []

    def epoch(self, micro_step):
        return micro_step // (self.steps_per_epoch * self.together)

    def plan(self, epoch):
        """The batches of one epoch: lists of (index, occurrence), each within one bucket; shuffled unless held out."""
        batches = []
        for size in sorted({*self.fixed, *self.turning}):
            units = [(unit.index, epoch * self.repeats(unit.index) + unit.repeat) for unit in self.fixed.get(size, [])]
            units += self.turn(size, epoch)
            if not self.held_out:
                randomness.rng(self.seed, "order", epoch, *size).shuffle(units)
            batches += [units[start : start + self.batch_size] for start in range(0, len(units), self.batch_size)]
        if not self.held_out:
            randomness.rng(self.seed, "batches", epoch).shuffle(batches)
        return batches

    def turn(self, size, epoch):
        """This epoch's class pictures of one bucket: the list is walked round and round, so all get their turn."""
        units, quota = self.turning.get(size, ([], 0))
        for position in range(epoch * quota, (epoch + 1) * quota):
            rounds, place = divmod(position, len(units))
            yield units[place].index, rounds * self.repeats(units[place].index) + units[place].repeat

    def repeats(self, index):
        return 1 if self.held_out else self.scan.pictures[index].repeats

    def instance_units(self):
        units = defaultdict(list)
        for index in self.chosen:
            if not self.scan.pictures[index].is_class:
                units[self.places[index].size] += [Unit(index, repeat) for repeat in range(self.repeats(index))]
        return dict(units)

    def class_units(self):
        """{size: (units, how many of them an epoch shows)}: for each concept as many as it has instances, spread over the buckets."""
        turning = defaultdict(lambda: ([], 0))
        for concept in {picture.concept for picture in self.scan.pictures if picture.is_class}:
            needed = sum(self.scan.pictures[unit.index].concept == concept for units in self.fixed.values() for unit in units)
            units = defaultdict(list)
            for index in self.chosen:
                picture = self.scan.pictures[index]
                if picture.is_class and picture.concept == concept:
                    units[self.places[index].size] += [Unit(index, repeat) for repeat in range(picture.repeats)]
            for size, quota in shares(needed, {size: len(some) for size, some in units.items()}).items():
                have, so_far = turning[size]
                turning[size] = have + units[size], so_far + quota
        return {size: pair for size, pair in turning.items() if pair[1]}

    def example(self, index, occurrence):
        """The example that picture `index` is at its showing number `occurrence`."""
        picture, place = self.scan.pictures[index], self.places[index]
        return Example(picture, index, occurrence, self.caption(picture, index, occurrence), place.size,
                       self.crop(place, index, occurrence), self.flip(index, occurrence), picture.weight, place.scaled)

    def caption(self, picture, index, occurrence):
        words = picture.caption if self.held_out else captions.vary(picture.caption, self.dataset, self.seed, index, occurrence)
        lines = self.scan.templates.get(picture.concept)
        if picture.is_class or not lines:
            return words
        return captions.filled(lines, self.config.word, words, self.seed, index, occurrence)

    def flip(self, index, occurrence):
        """Every second showing, beginning with either: both sides are seen equally often."""
        if self.held_out or not self.dataset.flip_aug:
            return False
        return bool((occurrence + randomness.mix(self.seed, "flip", index)) % 2)

    def crop(self, place, index, occurrence):
        few = self.dataset.random_crop and self.dataset.cache_latents
        return self.crop_of(place, index, randomness.mix(self.seed, "crop", index, occurrence) % CROPS if few else occurrence)

    def crop_of(self, place, index, choice):
        across, down = slack(place)
        if self.held_out or not self.dataset.random_crop:
            return across // 2, down // 2
        chance = randomness.rng(self.seed, "cut", index, choice)
        return chance.randint(0, across), chance.randint(0, down)

    def variants(self, epochs=None):
        """One example for every different picture of latents that the first `epochs` (None: any) can ask for, bucket by bucket.

        What `LatentCache.prepare` wants; the captions of these are of no use.
        """
        for index in sorted(self.used(epochs), key=lambda index: (self.places[index].size, index)):
            picture, place = self.scan.pictures[index], self.places[index]
            sides = (False, True) if self.dataset.flip_aug and not self.held_out else (False,)
            for crop in sorted({self.crop_of(place, index, choice) for choice in range(CROPS)}):
                for flip in sides:
                    yield Example(picture, index, 0, picture.caption, place.size, crop, flip, picture.weight, place.scaled)

    def used(self, epochs):
        """Numbers of the pictures that the first `epochs` show."""
        found = {unit.index for units in self.fixed.values() for unit in units}
        for units, quota in self.turning.values():
            found |= {unit.index for unit in (units if epochs is None else units[: quota * epochs])}
        return found


def shares(needed, counts):
    """`needed` split in proportion to `counts` (key -> number), in whole numbers: the largest remainders get what is left."""
    total = sum(counts.values())
    if not total:
        return {}
    whole = {key: needed * count // total for key, count in counts.items()}
    rest = sorted(counts, key=lambda key: (-(needed * counts[key] % total), key))
    for key in rest[: needed - sum(whole.values())]:
        whole[key] += 1
    return whole


def chosen(pictures, split, held_out):
    """Numbers of the pictures of one part. Which instance pictures are kept aside depends on their content alone, so that
    adding or renaming others hardly changes it; copies of one picture stay together, and one picture always trains."""
    contents = sorted({picture.content for picture in pictures if not picture.is_class}, key=lambda one: randomness.mix(0, "aside", one))
    count = min(max(1, round(split * len(contents))), len(contents) - 1) if split else 0
    aside = set(contents[:count])
    return [index for index, picture in enumerate(pictures) if (not picture.is_class and picture.content in aside) == held_out]
