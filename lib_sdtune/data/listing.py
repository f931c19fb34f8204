"""Which picture files the concepts of a config mean, before any is opened."""

from dataclasses import dataclass
from pathlib import Path

from lib_sdtune.data import captions, kohya
from lib_sdtune.data.picture import SUFFIXES
from lib_sdtune.data.problem import shown
from lib_sdtune.data.walk import Found, absolute, locate, walk
from lib_sdtune.errors import UserError


@dataclass(frozen=True)
class Job:
    """A picture file and what is known about it before it is opened."""

    found: Found
    concept: int
    is_class: bool
    repeats: int
    prompt: str
    weight: float
    templated: bool = False
    extension: str = ""  # of its caption, where its data set has one of its own
    prefix: str = ""
    suffix: str = ""


def jobs_of(number, concept, loss, base, result, template_folders, dataset=None):
    """The `Job`s of one concept. Its roots, templates and problems go to the `Scan` `result`. UserError for unfit folders."""
    key = f"concepts[{number}]"
    if concept.images.strip().strip("\"'").lower().endswith(".toml"):
        return of_toml(number, concept, loss, base, result, dataset)
    root = locate(concept.images, base, f"{key}.images")
    result.roots.append(root)
    lines = captions.template(concept.prompt, (base, Path(base) / "textual_inversion_templates", *template_folders))
    if lines:
        result.templates[number] = lines
    files = files_of(root, f"{key}.images", result.problems)
    jobs = [Job(one, number, False, concept.repeats or one.repeats or 1, "" if lines else concept.prompt, 1.0, bool(lines))
            for one in files]
    reg = class_root(concept, base, root, key, result.problems)
    if reg:
        files = files_of(reg, f"{key}.class_images", result.problems, needed=not concept.num_class_images)
        jobs += [Job(one, number, True, one.repeats or 1, concept.class_prompt, loss.prior_loss_weight) for one in files]
    return jobs


def class_root(concept, base, root, key, problems):
    """The folder of the class pictures; None if there is none, or if it is still to be made for pictures yet to be drawn."""
    if not concept.class_images:
        return None
    reg = absolute(concept.class_images, base)
    inner, outer = reg.resolve(), root.resolve()
    if inner == outer:
        raise UserError(f'"{key}.class_images" is the same folder as "{key}.images"; the class needs pictures without your subject.')
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise UserError(f'"{key}.class_images" and "{key}.images" lie inside each other; give two separate folders.')
    if concept.num_class_images and not reg.exists():
        return None
    return locate(concept.class_images, base, f"{key}.class_images")


def files_of(root, key, problems, needed=True):
    files = walk(root, problems)
    if not files and needed:
        kinds = " ".join(suffix[1:] for suffix in SUFFIXES)
        if key.endswith("class_images"):
            raise UserError(f'"{key}": {shown(root)} holds no pictures ({kinds}); put some there, '
                            'or set "num_class_images" to have them drawn.')
        strange = next((problem.text for problem in problems if problem.path.is_relative_to(root)), "")
        raise UserError(f'"{key}": {shown(root)} holds no pictures ({kinds}). {strange}'.strip())
    return files


def behind(images):
    """The folders that a concept's pictures come from when they are given as a dataset TOML: absolute; none otherwise."""
    path = Path(images)
    if path.suffix.lower() != ".toml" or not path.is_file():
        return []
    return [str(path.parent / subset.images) for subset in kohya.read(path, None, [])]


def of_toml(number, concept, loss, base, result, dataset):
    """The jobs of a kohya dataset TOML given as a concept's pictures; its folders are relative to it."""
    key = f"concepts[{number}].images"
    path = absolute(concept.images.strip().strip("\"'"), base)
    if not path.is_file():
        raise UserError(f'"{key}": there is no file {shown(path)}.')
    jobs = []
    for subset in kohya.read(path, dataset, result.problems):
        root = locate(subset.images, path.parent, f"{path.name}: image_dir")
        result.roots.append(root)
        words = subset.words or (concept.class_prompt if subset.is_class else concept.prompt)
        jobs += [Job(one, number, subset.is_class, subset.repeats, words, loss.prior_loss_weight if subset.is_class else 1.0,
                     extension=subset.extension, prefix=subset.prefix, suffix=subset.suffix)
                 for one in files_of(root, f"{path.name}: image_dir", result.problems)]
    return jobs
