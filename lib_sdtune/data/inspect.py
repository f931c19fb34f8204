"""A folder of pictures looked at as a training set: what is in it, what it becomes, and what is odd about it."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from lib_sdtune.data import bar_chart, captions, masks, prompt_syntax
from lib_sdtune.data.appearance import BLURRED, duplicates
from lib_sdtune.data.buckets import BucketFit, Buckets
from lib_sdtune.data.caption_checks import known_word, unused_prompts
from lib_sdtune.data.caption_length import truncate
from lib_sdtune.data.example import Picture
from lib_sdtune.data.loader import Dataset, none_aside
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.data.scan import Scan, scan
from lib_sdtune.errors import UserError
from lib_sdtune.ldm import tokenizer as ldm
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.general import GeneralConfig
from lib_sdtune.sections.loss import LossConfig
from lib_sdtune.sentences import phrase, plural

ENLARGED = 1.25  # times: more than this shows
LOST = 0.3  # share of a picture that is cropped away
CHUNK = 75  # tokens that a text encoder reads at once
Tokenizer = Callable[[str], list]

INSTEAD = {"name": "{} has no caption; its file name, {!r}, is taken.",
           "folder": "{} has no caption; the name of its folder, {!r}, is taken.",
           "none": "{} has no caption; it is learnt without words."}


def inspect(path: Path | str, dataset: DatasetConfig | None = None, tokenizer: Tokenizer | None = None,
            progress: Callable[[int, int, str], None] | None = None) -> dict:
    """The report of `report` on one folder (or dataset TOML) under a `DatasetConfig`.

    progress(done, total, text) may raise to stop. UserError when it can't be a data set at all.
    """
    path = Path(path)
    dataset = dataset or DatasetConfig()
    concepts = [Concept(images=str(path.absolute()))]
    try:
        pictures = scan(concepts, dataset, LossConfig(), path.parent, progress, appearance=True, strict=False)
    except UserError as error:  # whoever asks for one folder knows of no concepts
        raise UserError(str(error).replace('"concepts[0].images"', '"images"', 1)) from None
    config = GeneralConfig(name=path.name, concepts=concepts, dataset=dataset)
    return {"path": printable(path)} | report(pictures, config, tokenizer or ldm.clip())


def report(scan: Scan, config: GeneralConfig, tokenizer: Tokenizer | None = None) -> dict:
    """A dict for JSON about a `Scan` (best made with `appearance=True`) under a `Config`.

    images, class_images, captions: numbers of pictures, of class pictures, and of pictures with a caption of their own.
    buckets: {"512x512": pictures}. problems: [{"path", "kind", "text", "fatal"}]. folders, tags: counts. pictures: one
    row each. summary: sentences. tokenizer(text) -> ids, if there is one, finds captions that are too long.
    """
    problems = scan.problems + findings(scan, config, tokenizer)
    fits = bucket_fits(scan.pictures, config.dataset)
    instances = [picture for picture in scan.pictures if not picture.is_class]
    sizes = sorted(Counter(fit.size for fit in fits).items())
    tag_counts = Counter(tag for picture in instances for tag in set(captions.tags(picture.caption)))
    return {
        "images": len(instances),
        "class_images": len(scan.pictures) - len(instances),
        "captions": sum(picture.caption_from == "file" for picture in instances),
        "caption_sources": dict(Counter(picture.caption_from for picture in instances)),
        "buckets": {f"{width}x{height}": count for (width, height), count in sizes},
        "folders": folders(scan.pictures),
        "tags": dict(tag_counts.most_common()),
        "problems": [{"path": printable(name_of(problem.path, scan.roots)), "kind": problem.kind, "text": problem.text,
                      "fatal": problem.fatal} for problem in problems],
        "pictures": [row(picture, fit) for picture, fit in zip(scan.pictures, fits, strict=True)],
        "summary": sentences(scan, config, problems),
    }


def drawn(buckets: dict[str, int], tags: dict[str, int]) -> str:
    """The counts of a report's "buckets" and "tags" as one SVG."""
    charted = (phrase("Bucket sizes"), buckets), ("Tags", tags)
    return bar_chart.stacked([bar_chart.bars(title, counts) for title, counts in charted if counts])


def bucket_fits(pictures: list[Picture], dataset: DatasetConfig) -> list[BucketFit]:
    buckets = Buckets(dataset)
    return [buckets.fit(picture.width, picture.height) for picture in pictures]


def row(picture: Picture, fit: BucketFit) -> dict:
    return {"path": picture.relative, "folder": picture.folder, "width": picture.width, "height": picture.height,
            "bucket": list(fit.size), "repeats": picture.repeats, "caption": printable(picture.caption),
            "caption_from": picture.caption_from, "is_class": picture.is_class}


def folders(pictures: list[Picture]) -> dict[str, dict]:
    """{folder: {"images", "repeats", "is_class"}}."""
    entries: dict[str, dict] = {}
    for picture in pictures:
        new = {"images": 0, "repeats": picture.repeats, "is_class": picture.is_class}
        entries.setdefault(picture.folder, new)["images"] += 1
    return entries


def name_of(path: Path, roots: list[Path]) -> str:
    """The path below its concept's folder, with / on every system; of anything else only the name."""
    root = next((root for root in roots if Path(path).is_relative_to(root)), None)
    return Path(path).relative_to(root).as_posix() if root else Path(path).name


def findings(scan: Scan, config: GeneralConfig, tokenizer: Tokenizer | None = None) -> list[Problem]:
    """Problems of pictures that can be read: what training would make of them, and which are alike."""
    pictures = scan.pictures
    return [*fitting(pictures, config.dataset), *alike(pictures), *blurred(pictures), *clashes(pictures),
            *wording(pictures, tokenizer, config.dataset), *unused_prompts(scan, config),
            *masks.without_effect(pictures, config.dataset), *kept_aside(pictures, config),
            *ordinary_word(scan, config, tokenizer)]


def ordinary_word(scan: Scan, config: GeneralConfig, tokenizer: Tokenizer | None) -> Iterator[Problem]:
    if scan.needs_name and tokenizer and (sentence := known_word(config.word, tokenizer)):
        yield Problem(scan.pictures[0].path, sentence, False, "word known already")


def kept_aside(pictures: list[Picture], config: GeneralConfig) -> Iterator[Problem]:
    if sentence := none_aside(pictures, config.validation.split):
        yield Problem(pictures[0].path, sentence, False, "none kept aside")


def fitting(pictures: list[Picture], dataset: DatasetConfig) -> Iterator[Problem]:
    """Too small for their bucket, or too long for any."""
    for picture, fit in zip(pictures, bucket_fits(pictures, dataset), strict=True):
        width, height = fit.size
        scale = max(width / picture.width, height / picture.height)
        if scale > ENLARGED:
            yield Problem(picture.path, f"{picture.relative} is small: its {picture.width} × {picture.height} pixels "
                                        f"are enlarged {scale:.1f} times to fill {width} × {height}.",
                          False, "too small")
        lost = 1 - width * height / (fit.scaled[0] * fit.scaled[1])
        if lost > LOST:
            yield Problem(picture.path, f"{picture.relative} is of an extreme shape: {100 * lost:.0f} % of it is "
                                        f"cropped away to fit {width} × {height}; crop or split it yourself.",
                          False, "extreme aspect")


def alike(pictures: list[Picture]) -> Iterator[Problem]:
    """Pictures that look like an earlier one, of those whose appearance is known."""
    appearances = [(picture, picture.appearance) for picture in pictures if picture.appearance]
    for later, earlier in duplicates([appearance for _, appearance in appearances]):
        picture, original = appearances[later][0], appearances[earlier][0]
        text = (f"{picture.relative} is the same file as {original.relative}; one of them is enough."
                if picture.content == original.content else
                f"{picture.relative} is nearly the same picture as {original.relative}; one of them is enough.")
        yield Problem(picture.path, text, False, "duplicate")


def blurred(pictures: list[Picture]) -> Iterator[Problem]:
    for picture in pictures:
        if picture.appearance and picture.appearance.sharpness < BLURRED:
            yield Problem(picture.path, f"{picture.relative} looks blurred; what is learnt from it will be, too.",
                          False, "blurred")


def clashes(pictures: list[Picture]) -> Iterator[Problem]:
    """Pictures that share a stem share a caption file, and can't both be saved in one format."""
    first: dict[tuple, str] = {}
    for picture in pictures:
        stem = (picture.path.parent, picture.path.stem.casefold())
        if stem in first:
            yield Problem(picture.path, f"{picture.relative} and {first[stem]} share one name and so one caption; "
                                        "rename one.", False, "name clash")
        first.setdefault(stem, picture.relative)


def wording(pictures: list[Picture], tokenizer: Tokenizer | None, dataset: DatasetConfig) -> Iterator[Problem]:
    most = dataset.max_token_length
    for picture in pictures:
        if picture.caption_from in INSTEAD and not picture.is_class:
            sentence = INSTEAD[picture.caption_from] if picture.caption else INSTEAD["none"]
            yield Problem(picture.path, sentence.format(picture.relative, picture.caption), False, "caption missing")
        if signs := prompt_syntax.signs(picture.caption, dataset.weighted_captions):
            yield Problem(picture.path, f"The caption of {picture.relative} has prompt syntax ({' '.join(signs)}), "
                                        "which is learned as letters that no prompt gives; take it out, under "
                                        "Captions or with "
                                        "plain_captions of prepare.", False, "prompt syntax")
        if tokenizer and truncate(picture.caption, tokenizer, most) != picture.caption:
            yield Problem(picture.path, f"The caption of {picture.relative} has more than {most} tokens; the rest is "
                                        'not learnt. Shorten it, or raise "dataset.max_token_length".', False,
                          "caption cut")
        elif tokenizer and (count := len(tokenizer(picture.caption))) > CHUNK:
            yield Problem(picture.path, f"The caption of {picture.relative} has more than {CHUNK} tokens "
                                        f"(about {count}); it is read in pieces.", False, "caption long")


def sentences(scan: Scan, config: GeneralConfig, problems: list[Problem]) -> list[str]:
    """What a person would say about it."""
    instances = [picture for picture in scan.pictures if not picture.is_class]
    written = sum(picture.caption_from == "file" for picture in instances)
    broken = sum(problem.fatal for problem in problems)
    captioned = f"{written or 'none'} with {'a caption' if written == 1 else 'captions'} of their own"
    lines = [f"{plural(len(instances), 'picture')}, {captioned}" + (f", {broken} left out" if broken else "") + "."]
    if instances:
        lines.append(arithmetic(Dataset(scan, config), config))
    kinds = Counter(problem.kind for problem in problems)
    if kinds:
        lines.append("Worth a look: " + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()) + ".")
    return lines


def arithmetic(dataset: Dataset, config: GeneralConfig) -> str:
    """Steps and epochs in words: 20 pictures x 10 repeats / batch 2 = 100 steps an epoch; 1,500 steps = 15 epochs."""
    instances = [picture for picture in dataset.pictures if not picture.is_class]
    repeats = {picture.repeats for picture in instances}
    with_repeats = sum(picture.repeats for picture in instances)
    of_class = dataset.examples_per_epoch - with_repeats
    text = plural(len(instances), "picture")
    text += f" x {plural(repeats.pop(), 'repeat')}" if len(repeats) == 1 else f" ({with_repeats:,} with their repeats)"
    text += f" + {plural(of_class, 'class picture')}" if of_class else ""
    together = config.train.batch_size * config.train.gradient_accumulation_steps
    text += f" / batch {together}" if together > 1 else ""
    per_epoch = dataset.steps_per_epoch
    total, most = dataset.total_steps, "at most " if config.train.stop == "auto" else ""
    epochs = total / per_epoch
    number = f"{epochs:,.0f}" if epochs >= 100 else f"{epochs:.3g}"
    epochs_in_all = f"{number} {'epoch' if number == '1' else 'epochs'}"
    return f"{text} = {plural(per_epoch, 'step')} an epoch; {most}{plural(total, 'step')} = {epochs_in_all}."


def finals(dataset: Dataset, tokenizer: Tokenizer | None = None, count: int = 5) -> list[dict]:
    """The captions of `count` showings as the trainer will see them.

    [{"path", "caption", "tokens"}]; tokens None without tokenizer.
    """
    rows: list[dict] = []
    step = 0
    while len(rows) < count and step < dataset.steps_per_epoch * dataset.together:
        for example in dataset.examples(step):
            tokens = len(tokenizer(example.caption)) if tokenizer else None
            rows.append({"path": example.picture.relative, "caption": printable(example.caption), "tokens": tokens})
        step += 1
    return rows[:count]
