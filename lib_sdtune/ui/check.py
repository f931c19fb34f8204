"""What the Check button says about the pictures, in words a person would use."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from html import escape
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune.errors import NameTaken
from lib_sdtune.sentences import plural
from lib_sdtune.services.submission import check_config, read_config
from lib_sdtune.services.task import Progress, Stopped
from lib_sdtune.ui import costs
from lib_sdtune.ui.boxes import box, listing
from lib_sdtune.ui.thumbnails import thumbnails

if TYPE_CHECKING:
    from lib_sdtune.app import App
    from lib_sdtune.config import Config
    from lib_sdtune.data.example import Picture
    from lib_sdtune.data.loader import Dataset
    from lib_sdtune.data.scan import Scan

PHRASES = (  # what is put together of parts below
    "{1}, {2} with captions of their own.", "{1}, {2} with a caption of its own.",
    "{1}, none with captions of their own.",
    "{1}, {2} with captions of their own; {3}.", "{1}, {2} with a caption of its own; {3}.",
    "Sizes: {1}.", "Sizes: {1} and {2} others.",
    "{1} picture", "{1} pictures", "{1} class picture", "{1} class pictures",
    "one picture in {1}", "{1} × {2} repeat", "{1} × {2} repeats",
    "{1} ÷ batch {2}", "{1} + {2}", "{1} step", "{1} steps", "{1} epoch", "{1} epochs",
    "{1} = {2} an epoch; {3}{4} = {5}.", "Captions as they will be read",
    "Sizes and tags as bars", "(empty)")
ENOUGH = 10  # pictures of a concept, as the README asks for
UNNAMED = "unnamed"  # what a run is called that need have no name yet


def report(settings: dict[str, Any], app: "App", say: Callable[[str], str] = str) -> str:
    """HTML about the run that the CONFIG `settings` describes, which need have no name yet.

    UserError for whatever would stop Start. say(sentence): the sentence with the words of the form.
    """
    from lib_sdtune.data.inspect import finals
    from lib_sdtune.data.loader import Dataset
    from lib_sdtune.ineffective_settings import by_checkpoint, ineffective
    from lib_sdtune.training.drawn_prompts import unknown_tags
    from lib_sdtune.training.prior import sentence
    from lib_sdtune.training.recipe import recipe
    from lib_sdtune.training.runs import check_settings

    config = read_config(settings, app.host, name=UNNAMED)

    def look(progress: Progress) -> "tuple[Scan, Dataset, str]":
        scan = check_config(config, app.context, True, progress)
        check_settings(config, config.model, app.host)
        dataset = Dataset(scan, config)
        return scan, dataset, limit(config, dataset, app, progress)

    scan, dataset, lost = app.inspection.watch(look)
    lines = [picture_count(scan.pictures), shapes(dataset), arithmetic(dataset, config)]
    lines += filter(None, [*costs.told(dataset, config, app), masks(config, scan.pictures),
                           sentence(config, scan.pictures), recipe(config, dataset)])
    captions = [f"{row['path']}: {row['caption'] or '(empty)'}" for row in finals(dataset)]
    warnings = [*few(scan.pictures), *ineffective(config), *by_checkpoint(config, app.host.header(config.model)),
                *unknown_tags(config, app.host),
                *filter(None, [lost]), *problems(scan, config, app)]
    problem = name_problem(config, app) if settings.get("name") else ""
    parts = [box("red", problem, say=say), box("plain", *lines), box("yellow", *warnings, say=say),
             *plain_captions(scan, config), *thumbnails(scan), listing("Captions as they will be read", captions),
             charts(scan, dataset)]
    return f'<div class="sdtune-check">{"".join(parts)}</div>'


def limit(config: "Config", dataset: "Dataset", app: "App", progress: Progress) -> str:
    """Where the model can show no more of the pictures, whatever it learns; "" where it can, is in use, or somebody
    stops the look at it.
    """
    from lib_sdtune.training.vae_detail import lost_detail

    def give_up() -> None:
        raise InUse

    if not app.context.queue.idle:
        return ""
    try:
        with app.host.waiting_with(give_up):
            return lost_detail(app.host, config.model, dataset, progress)
    except (InUse, Stopped):
        return ""


class InUse(Exception):
    """Somebody else has the model."""


def plain_captions(scan: "Scan", config: "Config") -> Iterator[str]:
    """For each concept whose captions have prompt syntax, a button that takes it out under Captions."""
    from lib_sdtune.data import prompt_syntax

    extension = config.dataset.caption_extension
    numbers = {picture.concept for picture in scan.pictures
               if picture.caption_from == "file" and prompt_syntax.signs(picture.caption)}
    for number in sorted(numbers):
        folder = escape(str(config.concepts[number].images), quote=True)
        yield ('<p><button type="button" class="sdtune-button sdtune-small sdtune-plain-captions" '
               f'data-folder="{folder}" data-extension="{escape(extension, quote=True)}">'
               'Take out prompt syntax</button></p>')


def charts(scan: "Scan", dataset: "Dataset") -> str:
    """Sizes and tags as bars, folded away."""
    from lib_sdtune.data.inspect import drawn

    tags = sum(map(Counter, scan.tag_frequency().values()), Counter()).most_common()
    sizes = {f"{width} × {height}": count for (width, height), count in sorted(dataset.bucket_counts.items())}
    return f"<details><summary>Sizes and tags as bars</summary>{drawn(sizes, dict(tags))}</details>"


def name_problem(config: "Config", app: "App") -> str:
    """Why the name cannot be used, or ""."""
    from lib_sdtune.training.name_conflicts import check_new
    from lib_sdtune.training.runs import folder_of

    try:
        app.jobs.refuse_live(config.name)
        check_new(config, app.host, folder_of(app.host, config.name))
        return ""
    except NameTaken as problem:
        return str(problem)


def picture_count(pictures: "Sequence[Picture]") -> str:
    subject = [picture for picture in pictures if not picture.is_class]
    captioned = sum(picture.caption_from == "file" for picture in subject)
    captions = f"{captioned or 'none'} with {'a caption of its own' if captioned == 1 else 'captions of their own'}"
    classes = len(pictures) - len(subject)
    class_pictures = f"; {plural(classes, 'class picture')}" if classes else ""
    return f"{plural(len(subject), 'picture')}, {captions}{class_pictures}."


def few(pictures: "Sequence[Picture]") -> Iterator[str]:
    """What is to be said where a concept has few pictures."""
    counts = Counter(picture.concept for picture in pictures if not picture.is_class)
    if counts and (least := min(counts.values())) < ENOUGH:
        yield (f"Only {plural(least, 'picture')}: take ten or more where you can, or background and pose are learned "
               "along with the subject.")


def masks(config: "Config", pictures: "Sequence[Picture]") -> str:
    """How many pictures are learned from by their masks; "" where none is."""
    if not config.dataset.masked_loss:
        return ""
    count = sum(picture.mask is not None for picture in pictures)
    return f"Masks: {count} of {len(pictures)} pictures have one, and only what is white in it counts."


def problems(scan: "Scan", config: "Config", app: "App", most: int = 3) -> Iterator[str]:
    """Sentences about single files, those that are left out first; many of a kind are told once, with their names."""
    from lib_sdtune.data.caption_checks import named_embeddings
    from lib_sdtune.data.inspect import findings
    from lib_sdtune.formats.kinds import KINDS
    from lib_sdtune.formats.lookup import by_name
    from lib_sdtune.ldm.tokenizer import clip
    from lib_sdtune.services.final_captions import tokenizer_of

    kinds = defaultdict(list)
    tokenizer = tokenizer_of(app.host) or clip()
    kind = KINDS["embeddings"]
    embeddings = by_name(app.host.folder(kind.folder), kind.endings + kind.pictures)
    every = [*scan.problems, *findings(scan, config, tokenizer),
            *named_embeddings(scan, config, embeddings, tokenizer)]
    for problem in sorted(every, key=lambda problem: not problem.fatal):
        kinds[problem.kind].append(problem)
    for alike in kinds.values():
        yield from (problem.text for problem in alike[: most if len(alike) <= most else 1])
        if len(alike) > most:
            names = [Path(problem.path).name for problem in alike[1:]]
            listed = ", ".join(names[:8])
            yield (f"The same goes for {listed} and {len(names) - 8} more." if len(names) > 8 else
                   f"The same goes for {listed}.")


def shapes(dataset: "Dataset", most: int = 6) -> str:
    counts = sorted(dataset.bucket_counts.items(), key=lambda entry: -entry[1])
    text = ", ".join(f"{width} × {height} ({count})" for (width, height), count in counts[:most])
    return f"Sizes: {text}" + (f" and {len(counts) - most} others." if len(counts) > most else ".")


def arithmetic(dataset: "Dataset", config: "Config") -> str:
    """"14 pictures × 10 repeats ÷ batch 2 = 70 steps an epoch; 1,400 steps = 20 epochs.\""""
    from lib_sdtune.data import inspect

    text = inspect.arithmetic(dataset, config).replace(" x ", " × ").replace(" / batch", " ÷ batch")
    full = ceil(dataset.examples_per_epoch / (config.train.batch_size * config.train.gradient_accumulation_steps))
    mixed = dataset.steps_per_epoch > full
    return text + (" A batch holds pictures of one size only, so some are smaller." if mixed else "")
