"""A folder of pictures looked at as a training set: what is in it, what it becomes, and what is odd about it."""

from collections import Counter
from pathlib import Path

from lib_sdtune.config import Concept, Config, DatasetConfig, LossConfig
from lib_sdtune.data import captions, charts
from lib_sdtune.data.buckets import Buckets
from lib_sdtune.data.folder import scan
from lib_sdtune.data.loader import Dataset
from lib_sdtune.data.look import BLURRED, doubles, look
from lib_sdtune.data.problem import Problem, shown
from lib_sdtune.errors import UserError
from lib_sdtune.ldm import tokenizer as ldm

ENLARGED = 1.25  # times: more than this shows
LOST = 0.3  # share of a picture that is cropped away
CHUNK = 75  # tokens that a text encoder reads at once

INSTEAD = {"name": "its file name", "folder": "the name of its folder", "none": "nothing"}


def inspect(path, dataset=None, tokenizer=None, progress=None):
    """The report of `report` on one folder (or dataset TOML) under a `DatasetConfig`; UserError when it can't be a data set at all."""
    path = Path(path)
    dataset = dataset or DatasetConfig()
    concepts = [Concept(images=str(path.absolute()))]
    try:
        found = scan(concepts, dataset, LossConfig(), path.parent, progress, look=look, strict=False)
    except UserError as error:  # whoever asks for one folder knows of no concepts
        sentence = str(error).removeprefix('"concepts[0].images": ')
        raise UserError(sentence[:1].upper() + sentence[1:]) from None
    config = Config(name=path.name, concepts=concepts, dataset=dataset)
    return {"path": shown(path)} | report(found, config, tokenizer or clip())


def clip():
    """CLIP's tokenizer where a package here has it; else what parts a text into words, each of which is a token or more."""
    try:
        return ldm.find(Path("clip"), 49408)
    except UserError:
        return lambda text: list(ldm.words(text))


def report(found, config, tokenizer=None):
    """A dict for JSON about a `Scan` (best made with `look=look.look`) under a `Config`.

    images, class_images, captions: numbers of pictures, of class pictures, and of pictures with a caption of their own.
    buckets: {"512x512": pictures}. problems: [{"path", "kind", "text", "fatal"}]. folders, tags: counts. pictures: one row
    each. summary: sentences. tokenizer(text) -> ids, if there is one, finds captions that are too long.
    """
    problems = found.problems + findings(found, config, tokenizer)
    places = placed(found.pictures, config.dataset)
    own = [picture for picture in found.pictures if not picture.is_class]
    return {
        "images": len(own),
        "class_images": len(found.pictures) - len(own),
        "captions": sum(picture.caption_from == "file" for picture in own),
        "caption_sources": dict(Counter(picture.caption_from for picture in own)),
        "buckets": {f"{width}x{height}": count for (width, height), count in sorted(Counter(place.size for place in places).items())},
        "folders": folders(found.pictures),
        "tags": dict(Counter(tag for picture in own for tag in set(captions.tags(picture.caption))).most_common()),
        "problems": [{"path": shown(name_of(problem.path, found.roots)), "kind": problem.kind, "text": problem.text, "fatal": problem.fatal}
                     for problem in problems],
        "pictures": [row(picture, place) for picture, place in zip(found.pictures, places, strict=True)],
        "summary": sentences(found, config, problems),
    }


def drawn(buckets, tags):
    """The counts of a report's "buckets" and "tags" as one SVG."""
    return charts.stacked([charts.bars(title, counts) for title, counts in (("Buckets", buckets), ("Tags", tags)) if counts])


def placed(pictures, dataset):
    buckets = Buckets(dataset)
    return [buckets.place(picture.width, picture.height) for picture in pictures]


def row(picture, place):
    return {"path": picture.relative, "folder": picture.folder, "width": picture.width, "height": picture.height,
            "bucket": list(place.size), "repeats": picture.repeats, "caption": shown(picture.caption), "caption_from": picture.caption_from,
            "is_class": picture.is_class}


def folders(pictures):
    found = {}
    for picture in pictures:
        entry = found.setdefault(picture.folder, {"images": 0, "repeats": picture.repeats, "is_class": picture.is_class})
        entry["images"] += 1
    return found


def name_of(path, roots):
    """The path below its concept's folder, with / on every system; the bare name of anything else, never where it lies."""
    root = next((root for root in roots if Path(path).is_relative_to(root)), None)
    return Path(path).relative_to(root).as_posix() if root else Path(path).name


def findings(found, config, tokenizer=None):
    """Problems of pictures that can be read: what training would make of them, and which are alike."""
    return [*fitting(found.pictures, config.dataset), *seen(found), *clashes(found.pictures), *wording(found.pictures, tokenizer)]


def fitting(pictures, dataset):
    """Too small for their bucket, or too long for any."""
    for picture, place in zip(pictures, placed(pictures, dataset), strict=True):
        width, height = place.size
        scale = max(width / picture.width, height / picture.height)
        if scale > ENLARGED:
            yield Problem(picture.path, f"{picture.relative} is small: its {picture.width} x {picture.height} pixels are enlarged "
                                        f"{scale:.1f} times to fill {width} x {height}.", False, "too small")
        lost = 1 - width * height / (place.scaled[0] * place.scaled[1])
        if lost > LOST:
            yield Problem(picture.path, f"{picture.relative} is of an extreme shape: {lost:.0%} of it is cropped away to fit "
                                        f"{width} x {height}; crop or split it yourself.", False, "extreme aspect")


def seen(found):
    """Doubles and blurred pictures, if the scan took a look."""
    if len(found.seen) != len(found.pictures):
        return
    for later, earlier in doubles(found.seen):
        one, other = found.pictures[later], found.pictures[earlier]
        how = "the same file as" if one.content == other.content else "nearly the same picture as"
        yield Problem(one.path, f"{one.relative} is {how} {other.relative}; one of them is enough.", False, "duplicate")
    for picture, view in zip(found.pictures, found.seen, strict=True):
        if view.sharpness < BLURRED:
            yield Problem(picture.path, f"{picture.relative} looks blurred; what is learnt from it will be, too.", False, "blurred")


def clashes(pictures):
    """Pictures that share a stem share a caption file, and can't both be saved in one format."""
    known = {}
    for picture in pictures:
        stem = (picture.path.parent, picture.path.stem.casefold())
        if stem in known:
            yield Problem(picture.path, f"{picture.relative} and {known[stem]} share one name and so one caption; rename one.",
                          False, "name clash")
        known.setdefault(stem, picture.relative)


def wording(pictures, tokenizer):
    for picture in pictures:
        if picture.caption_from in INSTEAD and not picture.is_class:
            words = f"{INSTEAD[picture.caption_from]}, {picture.caption!r}, is taken" if picture.caption else "it is learnt without words"
            yield Problem(picture.path, f"{picture.relative} has no caption; {words}.", False, "caption missing")
        if tokenizer and (count := len(tokenizer(picture.caption))) > CHUNK:
            yield Problem(picture.path, f"The caption of {picture.relative} has more than {CHUNK} tokens (about {count}); "
                                        "it is read in pieces.", False, "caption long")


def sentences(found, config, problems):
    """What a person would say about it."""
    own = [picture for picture in found.pictures if not picture.is_class]
    written = sum(picture.caption_from == "file" for picture in own)
    broken = sum(problem.fatal for problem in problems)
    lines = [f"{plural(len(own), 'picture')}, {written or 'none'} with {'a caption' if written == 1 else 'captions'} of their own"
             + (f", {broken} left out" if broken else "") + "."]
    if own:
        lines.append(arithmetic(Dataset(found, config), config))
    kinds = Counter(problem.kind for problem in problems)
    if kinds:
        lines.append("Worth a look: " + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()) + ".")
    return lines


def arithmetic(dataset, config):
    """Steps and epochs in words: 20 pictures x 10 repeats / batch 2 = 100 steps an epoch; 1,500 steps = 15 epochs."""
    own = [picture for picture in dataset.pictures if not picture.is_class]
    repeats = {picture.repeats for picture in own}
    shown_once = sum(picture.repeats for picture in own)
    of_class = dataset.examples_per_epoch - shown_once
    text = plural(len(own), "picture")
    text += f" x {plural(repeats.pop(), 'repeat')}" if len(repeats) == 1 else f" ({shown_once:,} with their repeats)"
    text += f" + {plural(of_class, 'class picture')}" if of_class else ""
    together = config.train.batch_size * config.train.gradient_accumulation_steps
    text += f" / batch {together}" if together > 1 else ""
    per_epoch = dataset.steps_per_epoch
    total = config.train.max_train_epochs * per_epoch or config.train.max_train_steps
    return f"{text} = {plural(per_epoch, 'step')} an epoch; {plural(total, 'step')} = {total / per_epoch:.3g} epochs."


def plural(count, noun):
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def finals(dataset, tokenizer=None, count=5):
    """The captions of `count` showings as the trainer will see them: [{"path", "caption", "tokens"}]; tokens None without tokenizer."""
    rows, step = [], 0
    while len(rows) < count and step < dataset.steps_per_epoch * dataset.together:
        for example in dataset.examples(step):
            tokens = len(tokenizer(example.caption)) if tokenizer else None
            rows.append({"path": example.picture.relative, "caption": shown(example.caption), "tokens": tokens})
        step += 1
    return rows[:count]
