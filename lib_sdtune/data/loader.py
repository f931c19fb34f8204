"""Which examples each step learns from, as a pure function of the seed and the step.

An epoch shows every instance picture `repeats` times, and as many class pictures as instance pictures; the batches of
any step are known without running the steps before it, so a resumed run goes on where it was.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product

from lib_sdtune import randomness
from lib_sdtune.data import captions, trigger_captions, variation
from lib_sdtune.data.buckets import BucketFit, Buckets, Size, slack
from lib_sdtune.data.example import Example, Picture
from lib_sdtune.data.other_backgrounds import OtherBackgrounds
from lib_sdtune.data.plain_background import Other
from lib_sdtune.data.run_length import total_steps
from lib_sdtune.data.scan import Scan
from lib_sdtune.sections.general import GeneralConfig

CROPS = 8  # random crops of one picture when latents are cached: as many entries, times two if mirrored


Unit = tuple[int, int]  # (number of a picture, which of its repeats or showings)


class Dataset:
    """The examples of a scan under a config.

    held_out: only the pictures that `validation.split` keeps aside (once each, centred, unmirrored), not the others.
    copies: processes that train together; the slots of an epoch are then a multiple of accumulation x copies.
    """

    def __init__(self, scan: Scan, config: GeneralConfig, held_out: bool = False, copies: int = 1) -> None:
        self.scan, self.config, self.held_out = scan, config, held_out
        self.dataset, self.seed, self.batch_size = config.dataset, config.train.seed, config.train.batch_size
        self.together = config.train.gradient_accumulation_steps * copies
        buckets = Buckets(config.dataset)
        self.fits = [buckets.fit(picture.width, picture.height) for picture in scan.pictures]
        self.chosen = chosen(scan.pictures, config.validation.split, held_out)
        self.other_backgrounds = OtherBackgrounds(
            self.dataset.background_aug_rate, self.seed, [picture for picture in self.pictures if not picture.is_class])
        self.fixed = self.instance_units()
        self.turning = {} if held_out else self.class_units()
        self._plan = lru_cache(maxsize=2)(self.plan)

    @property
    def pictures(self) -> list[Picture]:
        """The pictures of this part, without those of the other."""
        return [self.scan.pictures[index] for index in self.chosen]

    @property
    def batches_per_epoch(self) -> int:
        sizes = {*self.fixed, *self.turning}
        return sum(math.ceil(self.units_of(size) / self.batch_size) for size in sizes)

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.batches_per_epoch / self.together)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        subject = sum(not picture.is_class for picture in self.pictures)
        return total_steps(self.config, self.steps_per_epoch, subject)

    @property
    def examples_per_epoch(self) -> int:
        return sum(self.units_of(size) for size in {*self.fixed, *self.turning})

    @property
    def bucket_counts(self) -> dict[Size, int]:
        """{(width, height): examples an epoch}, sorted."""
        return {size: self.units_of(size) for size in sorted({*self.fixed, *self.turning})}

    def units_of(self, size: Size) -> int:
        units, quota = self.turning.get(size, ([], 0))
        return len(self.fixed.get(size, [])) + quota

    def examples(self, micro_step: int) -> list[Example]:
        """The batch of one forward and backward: examples of one bucket, at most batch_size of them.

        Every epoch takes steps_per_epoch x accumulation micro-steps; where the batches don't fill the last step, its
        remaining micro-steps are empty lists.
        """
        epoch, position = divmod(micro_step, self.steps_per_epoch * self.together)
        batches = self._plan(epoch)
        if position >= len(batches):
            return []
        moment = variation.Moment(epoch + 1, micro_step // self.together, self.total_steps)
        return [self.example(*unit, moment) for unit in batches[position]]

    def epoch(self, micro_step: int) -> int:
        return micro_step // (self.steps_per_epoch * self.together)

    def plan(self, epoch: int) -> list[list[Unit]]:
        """The batches of one epoch: lists of (index, occurrence) of one bucket each; shuffled unless held out."""
        batches = []
        for size in sorted({*self.fixed, *self.turning}):
            units = [(index, epoch * self.repeats(index) + repeat) for index, repeat in self.fixed.get(size, [])]
            units += self.turn(size, epoch)
            if not self.held_out:
                randomness.rng(self.seed, "order", epoch, *size).shuffle(units)
            batches += [units[start : start + self.batch_size] for start in range(0, len(units), self.batch_size)]
        if not self.held_out:
            randomness.rng(self.seed, "batches", epoch).shuffle(batches)
        return batches

    def turn(self, size: Size, epoch: int) -> Iterator[Unit]:
        """This epoch's class pictures of one bucket: the list is walked round and round, so all get their turn."""
        units, quota = self.turning.get(size, ([], 0))
        for position in range(epoch * quota, (epoch + 1) * quota):
            rounds, position = divmod(position, len(units))
            index, repeat = units[position]
            yield index, rounds * self.repeats(index) + repeat

    def repeats(self, index: int) -> int:
        return 1 if self.held_out else self.scan.pictures[index].repeats

    def instance_units(self) -> dict[Size, list[Unit]]:
        units: dict[Size, list[Unit]] = defaultdict(list)
        for index in self.chosen:
            if not self.scan.pictures[index].is_class:
                units[self.fits[index].size] += [(index, repeat) for repeat in range(self.repeats(index))]
        return dict(units)

    def class_units(self) -> dict[Size, tuple[list[Unit], int]]:
        """{size: (units, how many of them an epoch shows)}.

        As many as all concepts together have instances, with class pictures of their own or not, as in sd-scripts;
        spread over the buckets.
        """
        units: dict[Size, list[Unit]] = defaultdict(list)
        for index in self.chosen:
            picture = self.scan.pictures[index]
            if picture.is_class:
                units[self.fits[index].size] += [(index, repeat) for repeat in range(picture.repeats)]
        quotas = shares(sum(map(len, self.fixed.values())), {size: len(of_size) for size, of_size in units.items()})
        return {size: (units[size], quota) for size, quota in quotas.items() if quota}

    def example(self, index: int, occurrence: int, moment: variation.Moment | None = None) -> Example:
        """The example that picture `index` is at its showing number `occurrence`; moment: when that is."""
        picture, fit = self.scan.pictures[index], self.fits[index]
        return Example(picture, index, occurrence, self.caption(picture, index, occurrence, moment), fit.size,
                       self.crop(fit, index, occurrence), self.flip(index, occurrence), picture.weight, fit.scaled,
                       background=self.background(picture, index, occurrence))

    def caption(self, picture: Picture, index: int, occurrence: int, moment: variation.Moment | None) -> str:
        words, dataset, seed = picture.caption, self.dataset, self.seed
        alone = [] if self.held_out else self.trigger_captions(picture)
        is_alone = (trigger_captions.is_alone(dataset.trigger_words_rate, seed, index, occurrence)
                    or self.background(picture, index, occurrence) is not None)
        if alone and is_alone and not variation.dropped(dataset, seed, index, occurrence, moment):
            return alone[randomness.mix(seed, "alone", index, occurrence) % len(alone)]
        if self.held_out:
            words = variation.unvaried(words, dataset, seed, index)
        else:
            words = variation.vary(words, dataset, seed, index, occurrence, moment)
        lines = self.scan.templates.get(picture.concept)
        if picture.is_class or not lines:
            return words
        if self.held_out:
            return captions.filled(lines, self.config.word, words, seed, index, occurrence)
        return variation.from_template(lines, self.config.word, words, dataset, seed, index, occurrence,
                                       self.scan.needs_name, moment)

    def background(self, picture: Picture, index: int, occurrence: int) -> Other | None:
        """Another goes with the trigger words alone: a caption may say what the picture's own is."""
        other = None if self.held_out else self.other_backgrounds.choice(index, occurrence)
        return other if other and self.trigger_captions(picture) else None

    def trigger_captions(self, picture: Picture) -> list[str]:
        """What says the trigger words of a picture of the subject alone; [] for others, and where a template says them.
        """
        templated = picture.is_class or picture.concept in self.scan.templates
        trigger = "" if templated else self.config.concepts[picture.concept].prompt.strip()
        texts = trigger_captions.of_trigger_words(trigger) if trigger else []
        return [captions.affixed(text, self.dataset.caption_prefix, self.dataset.caption_suffix) for text in texts]

    def fixed_captions(self) -> list[str]:
        """All that is said in the run, where `variation.is_fixed` and there are no templates."""
        said_alone = self.dataset.trigger_words_rate or self.dataset.background_aug_rate
        alone = self.scan.pictures if said_alone else []
        return ["", *(picture.caption for picture in self.scan.pictures),
                *(caption for picture in alone for caption in self.trigger_captions(picture))]

    def flip(self, index: int, occurrence: int) -> bool:
        """Every second showing, beginning with either: both sides are seen equally often."""
        if self.held_out or not self.dataset.flip_aug:
            return False
        return bool((occurrence + randomness.mix(self.seed, "flip", index)) % 2)

    def crop(self, fit: BucketFit, index: int, occurrence: int) -> tuple[int, int]:
        choice = occurrence
        if self.dataset.random_crop and self.dataset.cache_latents:
            choice = randomness.mix(self.seed, "crop", index, occurrence) % CROPS
        return self.crop_of(fit, index, choice)

    def crop_of(self, fit: BucketFit, index: int, choice: int) -> tuple[int, int]:
        across, down = slack(fit)
        if self.held_out or not self.dataset.random_crop:
            return across // 2, down // 2
        rng = randomness.rng(self.seed, "cut", index, choice)
        return rng.randint(0, across), rng.randint(0, down)

    def variants(self, epochs: int | None = None) -> Iterator[Example]:
        """One example for every entry of latents that the first `epochs` (None: any) can ask for, bucket by bucket.

        What `LatentCache.prepare` wants; the captions of these are of no use.
        """
        for index in sorted(self.used(epochs), key=lambda index: (self.fits[index].size, index)):
            picture, fit = self.scan.pictures[index], self.fits[index]
            sides = (False, True) if self.dataset.flip_aug and not self.held_out else (False,)
            for crop in sorted({self.crop_of(fit, index, choice) for choice in range(CROPS)}):
                for flip, background in product(sides, self.backgrounds(picture)):
                    yield Example(picture, index, 0, picture.caption, fit.size, crop, flip, picture.weight,
                                  fit.scaled, background=background)

    def backgrounds(self, picture: Picture) -> list[Other | None]:
        """What `background` can be of a picture."""
        others = self.other_backgrounds.all() if not self.held_out and self.trigger_captions(picture) else []
        return [None, *others]

    def used(self, epochs: int | None) -> set[int]:
        """Numbers of the pictures that the first `epochs` show."""
        indices = {index for units in self.fixed.values() for index, _ in units}
        for units, quota in self.turning.values():
            indices |= {index for index, _ in (units if epochs is None else units[: quota * epochs])}
        return indices


def shares(needed: int, counts: dict) -> dict:
    """`needed` split in proportion to `counts` (key -> number), in whole numbers by largest remainders."""
    total = sum(counts.values())
    if not total:
        return {}
    quotas = {key: needed * count // total for key, count in counts.items()}
    by_remainder = sorted(counts, key=lambda key: (-(needed * counts[key] % total), key))
    for key in by_remainder[: needed - sum(quotas.values())]:
        quotas[key] += 1
    return quotas


def chosen(pictures: list[Picture], split: float, held_out: bool) -> list[int]:
    """Numbers of the pictures of one part, those that train or those that are held out for validation.

    Which instance pictures are held out depends on their content alone, so that adding or renaming others hardly
    changes it; copies of one picture stay together, and one picture always trains.
    """
    contents = contents_of(pictures)
    shuffled = sorted(contents, key=lambda content: randomness.mix(0, "aside", content))
    count = min(max(1, round(split * len(contents))), len(contents) - 1) if split else 0
    aside = set(shuffled[:count])
    return [index for index, picture in enumerate(pictures)
            if (not picture.is_class and picture.content in aside) == held_out]


def contents_of(pictures: Sequence[Picture]) -> set[str]:
    """The different pictures of the subject; copies of one are one."""
    return {picture.content for picture in pictures if not picture.is_class}


def none_aside(pictures: Sequence[Picture], split: float) -> str:
    """Why no picture is kept aside although a share of them is asked for, in a sentence; "" where it is not so."""
    if not split or len(contents_of(pictures)) != 1:
        return ""
    return (f'"validation.split" is {split:g}, and there is only one picture, copies of it not counted: it is trained '
            "on, and none is kept aside.")
