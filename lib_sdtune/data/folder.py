"""The folders of a config's concepts, looked through and read: every usable picture, and every problem by name."""

from dataclasses import dataclass, field
from pathlib import Path

from lib_sdtune.data import captions, remembered
from lib_sdtune.data.listing import jobs_of
from lib_sdtune.data.parallel import ordered
from lib_sdtune.data.picture import Unreadable
from lib_sdtune.data.problem import Problem, shown
from lib_sdtune.errors import UserError

__all__ = ["Picture", "Problem", "Scan", "scan"]


@dataclass(frozen=True)
class Picture:
    """One usable picture. Size in pixels the right way up; `content` is a hash of the file's bytes.

    caption_from: "file", "prompt", "folder", "name" or "none". concept: number of its concept. folder: its folder's name.
    relative: path below the concept's folder, with / on every system.
    """

    path: Path
    width: int
    height: int
    caption: str
    caption_from: str
    content: str
    repeats: int
    is_class: bool
    weight: float
    concept: int
    folder: str
    relative: str = ""
    has_alpha: bool = False


@dataclass
class Scan:
    """Pictures in a stable order, problems, and prompt templates by concept. `seen`: what `look` said, picture by picture."""

    pictures: list[Picture] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    templates: dict[int, list[str]] = field(default_factory=dict)
    seen: list = field(default_factory=list)
    roots: list[Path] = field(default_factory=list)

    def tag_frequency(self):
        """{folder: {tag: pictures that have it}} as kohya counts: once per picture, in lower case."""
        counts = {}
        for picture in self.pictures:
            folder = counts.setdefault(picture.folder, {})
            for tag in {tag.lower() for tag in captions.tags(picture.caption)}:
                folder[tag] = folder.get(tag, 0) + 1
        return counts


def scan(concepts, dataset, loss, base, progress=None, look=None, template_folders=(), strict=True):
    """Read every picture of every concept once; `Scan`.

    base: the folder that relative paths start from. progress(done, total, text) may raise to stop. look: see `picture.examine`.
    strict: refuse a folder without a single picture that can be read.
    UserError for a folder that is missing, unfit or without pictures.
    """
    result = Scan()
    jobs = []
    for number, concept in enumerate(concepts):
        jobs += jobs_of(number, concept, loss, base, result, template_folders, dataset)
    progress = progress or (lambda done, total, text: None)
    progress(0, len(jobs), "reading pictures")
    for done, (job, outcome) in enumerate(ordered(lambda job: examined(job.found.path, look), jobs), 1):
        take(job, outcome, dataset, result)
        progress(done, len(jobs), "reading pictures")
    if strict:
        refuse_broken(jobs, result)
    return result


def check(concepts, loss, base, template_folders=()):
    """Raise the UserError that `scan` would, without reading more pictures than it takes to find a good one in each folder."""
    for number, concept in enumerate(concepts):
        jobs = jobs_of(number, concept, loss, base, Scan(), template_folders)
        for own in (False, True):
            bad = Scan()
            for job in (job for job in jobs if job.is_class == own):
                outcome = examined(job.found.path, None)
                if not isinstance(outcome, Unreadable):
                    break
                take(job, outcome, None, bad)
            else:
                refuse_broken([job for job in jobs if job.is_class == own], bad)


def examined(path, look):
    try:
        return remembered.examined(path, look)
    except Unreadable as error:
        return error
    except Exception as error:  # one bad picture never ends a run
        return Unreadable("unreadable", f"can't be read ({type(error).__name__}: {str(error)[:80]}); save it again or remove it")


def take(job, outcome, dataset, result):
    """File the outcome of one picture under pictures or problems."""
    found = job.found
    if isinstance(outcome, Unreadable):
        result.problems.append(Problem(found.path, f"{shown(found.relative)} {outcome}.", True, outcome.kind))
        return
    for kind, note in outcome.notes:
        result.problems.append(Problem(found.path, f"{shown(found.relative)} {note}.", False, kind))
    caption, source = captions.of(found, job.prompt, job.extension or dataset.caption_extension, result.problems, job.templated)
    caption = " ".join(part for part in (job.prefix, caption, job.suffix) if part)
    result.pictures.append(Picture(found.path, outcome.width, outcome.height, caption, source, outcome.content, job.repeats, job.is_class,
                                   job.weight, job.concept, shown(found.folder), shown(found.relative), outcome.has_alpha))
    if outcome.seen is not None:
        result.seen.append(outcome.seen)


def refuse_broken(jobs, result):
    """UserError for a concept whose pictures are all unusable."""
    usable = {(picture.concept, picture.is_class) for picture in result.pictures}
    for job in jobs:
        if (job.concept, job.is_class) not in usable:
            key = f"concepts[{job.concept}].{'class_images' if job.is_class else 'images'}"
            first = next(problem.text for problem in result.problems if problem.fatal and problem.path == job.found.path)
            raise UserError(f'"{key}": none of its pictures can be read; {first}')
