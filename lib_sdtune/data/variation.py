"""How captions vary from one showing to the next: wildcards, prefix of tags, warm-up, shuffle and dropout, in the order
of sd-scripts' `process_caption`.
"""

import math
import random
import re
from collections.abc import Sequence
from typing import NamedTuple

from lib_sdtune import randomness
from lib_sdtune.data.captions import filled, tags
from lib_sdtune.sections.dataset import DatasetConfig

ALTERNATIVES = re.compile(r"\{([^{}]+)\}")
ESCAPES = (("{{", "\ue000"), ("}}", "\ue001"))  # doubled brackets stand for themselves


class Moment(NamedTuple):
    """When a picture is shown: in which epoch, counted from 1, and before which step of how many, counted from 0."""

    epoch: int = 1
    step: int = 0
    total: int = 1


def vary(caption: str, dataset: DatasetConfig, seed: int, index: int, occurrence: int,
         moment: Moment | None = None) -> str:
    """The caption as it is learnt at this showing by the `DatasetConfig`.

    A pure function: picture number `index` gets the same words at its showing number `occurrence` in every run with
    that seed. moment: None for any, with all tags.
    """
    rng = randomness.rng(seed, "caption", index, occurrence)
    if rng.random() < dataset.caption_dropout_rate or in_silent_epoch(dataset, moment):  # the very draw of `dropped`
        return ""
    caption = with_choices(caption, dataset, seed, index, occurrence)
    warming = moment is not None and moment.step < warmup_steps(dataset, moment.total)
    if dataset.shuffle_caption or dataset.caption_tag_dropout_rate or warming or separated(caption, dataset):
        first, loose, last = parted(caption, dataset)
        if moment is not None and warming:
            loose = loose[: tags_so_far(len(loose), dataset, moment)]
        if dataset.shuffle_caption:
            rng.shuffle(loose)
        loose = [tag for tag in loose if rng.random() >= dataset.caption_tag_dropout_rate]
        caption = ", ".join(first + loose + last)
    return joined(caption, dataset)


def unvaried(caption: str, dataset: DatasetConfig, seed: int, index: int) -> str:
    """The caption of a picture that is only measured: one choice for good, all of its tags in their order."""
    caption = with_choices(caption, dataset, seed, index, 0)
    if separated(caption, dataset):
        caption = ", ".join(sum(parted(caption, dataset), []))
    return joined(caption, dataset)


def is_fixed(dataset: DatasetConfig) -> bool:
    """Whether each picture has one caption, besides none at all."""
    return not (dataset.shuffle_caption or dataset.caption_tag_dropout_rate or dataset.enable_wildcard
                or dataset.token_warmup_step or dataset.keep_tokens_separator or dataset.secondary_separator)


def dropped(dataset: DatasetConfig, seed: int, index: int, occurrence: int, moment: Moment | None = None) -> bool:
    """Whether the caption is left out at this showing."""
    drawn = randomness.rng(seed, "caption", index, occurrence).random()
    return drawn < dataset.caption_dropout_rate or in_silent_epoch(dataset, moment)


def in_silent_epoch(dataset: DatasetConfig, moment: Moment | None) -> bool:
    every = dataset.caption_dropout_every_n_epochs
    return bool(every and moment is not None and moment.epoch % every == 0)


def with_choices(caption: str, dataset: DatasetConfig, seed: int, index: int, occurrence: int) -> str:
    """One of the caption's lines, with one of {a|b|c} chosen at each such place, evenly."""
    if not dataset.enable_wildcard:
        return caption
    rng = randomness.rng(seed, "wildcard", index, occurrence)
    if "\n" in caption:
        caption = rng.choice(caption.split("\n"))
    for doubled, sign in ESCAPES:
        caption = caption.replace(doubled, sign)
    caption = chosen(caption, rng)
    for doubled, sign in ESCAPES:
        caption = caption.replace(sign, doubled[0])
    return caption


def chosen(caption: str, rng: random.Random) -> str:
    return ALTERNATIVES.sub(lambda match: rng.choice(match[1].split("|")), caption)


def separated(caption: str, dataset: DatasetConfig) -> bool:
    return bool(dataset.keep_tokens_separator) and dataset.keep_tokens_separator in caption


def parted(caption: str, dataset: DatasetConfig) -> tuple[list[str], list[str], list[str]]:
    """(tags that stay in front, tags that vary, tags that stay at the end)."""
    if separated(caption, dataset):
        parts = caption.split(dataset.keep_tokens_separator, 2)
        first, loose, last = [*parts, ""][:3]
        return tags(first), tags(loose), tags(last)
    parts = tags(caption)
    return parts[: dataset.keep_tokens], parts[dataset.keep_tokens :], []


def warmup_steps(dataset: DatasetConfig, total: int) -> int:
    """Steps until all tags are there; below 1 the setting is a share of the run."""
    steps = dataset.token_warmup_step
    return math.floor(steps * total) if steps < 1 else int(steps)


def tags_so_far(count: int, dataset: DatasetConfig, moment: Moment) -> int:
    """How many of `count` varying tags are said by now, from `token_warmup_min` rising evenly."""
    least, steps = dataset.token_warmup_min, warmup_steps(dataset, moment.total)
    return max(0, math.floor(moment.step * (count - least) / steps) + least)


def joined(caption: str, dataset: DatasetConfig) -> str:
    """The caption with commas where `secondary_separator` kept tags together."""
    return caption.replace(dataset.secondary_separator, ", ") if dataset.secondary_separator else caption


def from_template(lines: Sequence[str], name: str, words: str, dataset: DatasetConfig, seed: int, index: int,
                  occurrence: int, needs_name: bool = False, moment: Moment | None = None) -> str:
    """The caption of this showing where a template gives it; `words` are the picture's own, as `vary` gives them.

    Caption dropout leaves the whole line out; only the picture's own words, where the line must say the name.
    """
    if not needs_name and dropped(dataset, seed, index, occurrence, moment):
        return ""
    return filled(lines, name, words, seed, index, occurrence)
