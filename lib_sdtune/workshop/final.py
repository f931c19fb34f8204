"""Captions as the trainer will see them, also those that are not saved yet."""

from dataclasses import asdict

from lib_sdtune.data import captions as caption
from lib_sdtune.data.walk import NUMBERED
from lib_sdtune.declaration import build
from lib_sdtune.errors import UserError
from lib_sdtune.workshop.questions import group, known, text, whole

COUNT = 5


def captions(edited, data, host):
    """[{"name", "caption", "tokens"}] of pictures spread over the folder, with {"dataset", "prompt", "word", "seed", "showing"}.

    dataset: the shuffling and dropout of the run's settings. showing: how often each picture was seen before, because words vary.
    tokens: None where no tokenizer is at hand.
    """
    from lib_sdtune.config import DatasetConfig

    known(data, "dataset", "prompt", "word", "seed", "showing")
    dataset = build(DatasetConfig, asdict(DatasetConfig()) | group(data, "dataset"), "dataset")
    prompt, word, seed, showing = text(data, "prompt"), text(data, "word"), whole(data, "seed"), whole(data, "showing")
    lines = caption.template(prompt, [host.folder("templates")]) if prompt else None
    names = list(edited.entries)
    chosen = sorted({round(place * (len(names) - 1) / (COUNT - 1)) for place in range(COUNT)})
    count = counter(host)
    rows = []
    for index in chosen:
        words = edited[names[index]] or ("" if lines else prompt or folder_words(edited, names[index]))
        words = words or caption.from_name(names[index].rpartition("/")[2])
        seen = caption.vary(words, dataset, seed, index, showing)
        seen = caption.filled(lines, word, seen, seed, index, showing) if lines else seen
        rows.append({"index": index, "name": names[index], "caption": seen, "tokens": count(seen)})
    return rows


def folder_words(edited, name):
    """Those of the nearest `10_name` folder, or ""."""
    below = [edited.root.resolve().name, *name.split("/")[:-1]]
    return next((match[2].strip() for match in map(NUMBERED.match, reversed(below)) if match), "")


def counter(host):
    """A function text -> number of tokens; None for each where the host can't tell now."""
    tokenizer = tokenizer_of(host)
    return (lambda words: len(tokenizer(words))) if tokenizer else lambda words: None


def tokenizer_of(host):
    """The host's tokenizer; None where it can't tell now."""
    try:
        return host.tokenizer()
    except UserError:  # a checkpoint whose words are not there; training will say so
        return None
