"""Captions as the trainer will see them, also those that are not saved yet."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lib_sdtune.data import captions as caption
from lib_sdtune.data import variation
from lib_sdtune.data.walk import NUMBERED
from lib_sdtune.declaration import build
from lib_sdtune.errors import UserError
from lib_sdtune.services.fields import group, refuse_unknown, text, whole_number

if TYPE_CHECKING:
    from lib_sdtune.access import Access
    from lib_sdtune.data.caption_editing import Captions
    from lib_sdtune.host.base import Host

COUNT = 5


def final_captions(captions: "Captions", data: dict, host: "Host", access: "Access") -> list[dict[str, Any]]:
    """[{"index", "name", "caption", "tokens"}] of pictures spread over the folder.

    data: {"dataset", "prompt", "word", "seed", "showing"}; dataset: the shuffling and dropout of the run's settings;
    showing: how often each picture was shown before, because words vary. tokens: None where no tokenizer is at hand.
    """
    from lib_sdtune.sections.dataset import DatasetConfig

    refuse_unknown(data, "dataset", "prompt", "word", "seed", "showing")
    dataset = build(DatasetConfig, asdict(DatasetConfig()) | group(data, "dataset"), "dataset")
    prompt, word = text(data, "prompt"), text(data, "word")
    access.template(prompt, "prompt")
    seed, showing = whole_number(data, "seed"), whole_number(data, "showing")
    template = caption.template(prompt, [host.folder("templates")]) if prompt else None
    names = list(captions.entries)
    count_tokens = token_counter(host)
    rows = []
    for index in sorted({round(place * (len(names) - 1) / (COUNT - 1)) for place in range(COUNT)}):
        words = captions[names[index]] or ("" if template else prompt or folder_words(captions, names[index]))
        words = words or caption.from_name(names[index].rpartition("/")[2])
        words = caption.affixed(words, dataset.caption_prefix, dataset.caption_suffix)
        words = variation.vary(words, dataset, seed, index, showing)
        if template:
            words = variation.from_template(template, word, words, dataset, seed, index, showing)
        rows.append({"index": index, "name": names[index], "caption": words, "tokens": count_tokens(words)})
    return rows


def folder_words(captions: "Captions", name: str) -> str:
    """Those of the nearest `10_name` folder, or ""."""
    below = [captions.root.resolve().name, *name.split("/")[:-1]]
    return next((match[2].strip() for match in map(NUMBERED.match, reversed(below)) if match), "")


def token_counter(host: "Host") -> Callable[[str], int | None]:
    """A function text -> number of tokens; None for each where the host can't tell now."""
    tokenizer = tokenizer_of(host)
    return (lambda words: len(tokenizer(words))) if tokenizer else lambda words: None


def tokenizer_of(host: "Host") -> Callable[[str], list] | None:
    """The host's tokenizer; None where it can't tell now."""
    try:
        return host.tokenizer()
    except UserError:  # a checkpoint whose words are not there; training will say so
        return None
