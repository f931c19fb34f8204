"""The folders that a config's concepts mean, each with what the config says about its pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lib_sdtune.data import captions, dataset_toml
from lib_sdtune.data.example import PictureFile
from lib_sdtune.data.kinds import USUAL
from lib_sdtune.data.mask_folder import assigned
from lib_sdtune.data.paths import locate, named_path
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.data.walk import walk
from lib_sdtune.errors import UserError, system_reason
from lib_sdtune.formats.paths import bare_path, is_file
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.loss import LossConfig


@dataclass(frozen=True)
class Subset:
    """A folder of pictures that are learned alike. `key`: the setting that names it.

    repeats: None leaves it to the folder's name. prompt: the caption of pictures that have none. templated: captions
    are words for a template's [filewords]. extension, prefix, suffix: of its captions, where it has its own.
    all_lines: whether one of a caption file's lines is chosen at each showing. masks: the folder of its masks, if they
    have one.
    """

    root: Path
    key: str
    concept: int
    is_class: bool = False
    repeats: int | None = None
    prompt: str = ""
    weight: float = 1.0
    templated: bool = False
    extension: str = ""
    prefix: str = ""
    all_lines: bool = False
    suffix: str = ""
    masks: Path | None = None


def subsets_of(number: int, concept: Concept, loss: LossConfig, base: Path | str, problems: list[Problem],
               template_folders: Sequence[Path] = (), dataset: DatasetConfig | None = None
              ) -> tuple[list[Subset], list[str] | None]:
    """(the subsets of one concept, the lines of its prompt template or None). UserError for unfit folders."""
    lines = captions.template(concept.prompt, (base, Path(base) / "textual_inversion_templates", *template_folders))
    if is_toml(concept.images):
        return from_toml(number, concept, loss, base, problems, dataset, bool(lines)), lines
    key = f"concepts[{number}]"
    root = locate(concept.images, base, f"{key}.images")
    prefix, suffix = (dataset.caption_prefix, dataset.caption_suffix) if dataset else ("", "")
    all_lines = bool(dataset and dataset.enable_wildcard)
    subsets = [Subset(root, f"{key}.images", number, False, concept.repeats, "" if lines else concept.prompt,
                      templated=bool(lines), prefix=prefix, suffix=suffix, all_lines=all_lines,
                      masks=mask_root(concept.conditioning_data_dir, base, root, f"{key}.conditioning_data_dir"))]
    class_folder = class_root(concept, base, root, key)
    if class_folder:
        subsets.append(Subset(class_folder, f"{key}.class_images", number, True, None, concept.class_prompt,
                              loss.prior_loss_weight, prefix=prefix, suffix=suffix, all_lines=all_lines))
    return subsets, lines


def from_toml(number: int, concept: Concept, loss: LossConfig, base: Path | str, problems: list[Problem],
              dataset: DatasetConfig | None, templated: bool) -> list[Subset]:
    """The subsets of a kohya dataset TOML given as a concept's pictures; its folders are relative to it.

    templated: the concept's prompt is a template, so captions and class_tokens are words for its [filewords].
    """
    images = f"concepts[{number}].images"
    path = named_path(concept.images, base, images)
    if not is_file(path):
        raise UserError(f'"{images}": there is no file {printable(path)}.')
    key = f"{path.name}: image_dir"
    prompt = "" if templated else concept.prompt
    subsets = []
    for table in dataset_toml.read(path, dataset, problems):
        root = locate(table.image_dir, path.parent, key)
        subsets.append(Subset(
            root, key, number, table.is_class, table.repeats,
            table.words or (concept.class_prompt if table.is_class else prompt),
            loss.prior_loss_weight if table.is_class else 1.0, templated and not table.is_class,
            extension=table.extension, prefix=table.prefix or (dataset.caption_prefix if dataset else ""),
            suffix=table.suffix or (dataset.caption_suffix if dataset else ""),
            all_lines=bool(dataset and dataset.enable_wildcard),
            masks=mask_root(table.conditioning_data_dir, path.parent, root, f"{path.name}: conditioning_data_dir")))
    return subsets


def mask_root(folder: str, base: Path | str, root: Path, key: str) -> Path | None:
    """The folder of the masks of pictures in `root`; None where none is named. UserError where it is not there, or is
    the pictures' own.
    """
    if not folder:
        return None
    masks = locate(folder, base, key)
    if masks.resolve() == root.resolve():
        raise UserError(f'"{key}" is the folder of the pictures themselves; a mask beside its picture is called '
                        "NAME.mask.png and needs no such setting.")
    return masks


def is_toml(images: str) -> bool:
    return bare_path(images).lower().endswith(".toml")


def class_root(concept: Concept, base: Path | str, root: Path, key: str) -> Path | None:
    """The folder of the class pictures; None if there is none, or if it is yet to be made for pictures to be drawn.

    UserError where it is the pictures' own folder, or one lies in the other.
    """
    if not concept.class_images:
        return None
    where = f"{key}.class_images"
    folder = named_path(concept.class_images, base, where)
    inner, outer = folder.resolve(), root.resolve()
    if inner == outer:
        raise UserError(f'"{key}.class_images" is the same folder as "{key}.images"; '
                        "the class needs pictures without your subject.")
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise UserError(f'"{key}.class_images" and "{key}.images" lie inside each other; give two separate folders.')
    try:
        if concept.num_class_images and not folder.exists():
            return None
    except OSError as error:  # a name that no folder can be made under
        raise UserError(f'"{where}": {printable(concept.class_images)} can\'t be opened '
                        f'({system_reason(error)}).') from error
    return locate(concept.class_images, base, where)


def files_of(subset: Subset, problems: list[Problem], extension: str = "",
             may_be_empty: bool = False) -> list[PictureFile]:
    """The picture files of a subset. UserError if there are none, unless they are yet to be drawn (`may_be_empty`)."""
    files = walk(subset.root, problems, subset.extension or extension)
    if subset.masks:
        files = assigned(files, subset.masks, problems)
    if files or may_be_empty:
        return files
    if subset.is_class:
        raise UserError(f'"{subset.key}": {printable(subset.root)} holds no pictures ({USUAL}); put some there, '
                        'or set "num_class_images" to have them drawn.')
    empty = f'"{subset.key}": {printable(subset.root)} holds no pictures ({USUAL}).'
    reasons = [problem.text for problem in problems if problem.path.is_relative_to(subset.root)]
    raise UserError(" ".join([empty, *reasons[:1]]))


def toml_folders(images: str) -> list[str]:
    """The absolute folders that a dataset TOML names; none where a concept's `images` are no such file."""
    path = Path(images)
    if path.suffix.lower() != ".toml" or not is_file(path):
        return []
    return [
        str(named_path(getattr(table, key), path.parent, f"{path.name}: {key}"))
        for table in dataset_toml.read(path, None, []) for key in ("image_dir", "conditioning_data_dir")
        if getattr(table, key)
    ]
