"""The folders of a config's concepts, read once: every usable picture, and every problem by name."""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lib_sdtune.data import captions, masks
from lib_sdtune.data.example import Picture, PictureFile
from lib_sdtune.data.picture import Facts, Unreadable, examine, of_file
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.data.subsets import Subset, files_of, subsets_of
from lib_sdtune.data.thread_map import ordered
from lib_sdtune.errors import UserError, system_reason
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.loss import LossConfig

YOUNG = 2_000_000_000  # nanoseconds: disks tell times in steps of up to two seconds, so newer files may change unseen
Stamp = tuple[int, int, int]  # a file's size, time and number on the disk


@dataclass
class Scan:
    """Pictures in a stable order, problems, prompt templates by concept, and the folders that were read.

    needs_name: every template line must say the trained name, also where captions are dropped.

    examined: what is known of each file that was read, so that a later scan reads only what has changed since.
    """

    pictures: list[Picture] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    templates: dict[int, list[str]] = field(default_factory=dict)
    roots: list[Path] = field(default_factory=list)
    needs_name: bool = False
    examined: dict[Path, tuple[Stamp, Facts]] = field(default_factory=dict)

    def tag_frequency(self, pictures: Iterable[Picture] | None = None) -> dict[str, dict[str, int]]:
        """{folder: {tag: pictures that have it}} of these pictures, or all, as kohya counts: once per picture, in
        lower case, no class pictures.
        """
        counts: dict[str, dict[str, int]] = {}
        for picture in self.pictures if pictures is None else pictures:
            if picture.is_class:
                continue
            folder = counts.setdefault(picture.folder, {})
            for tag in {tag.lower() for tag in captions.tags(picture.caption)}:
                folder[tag] = folder.get(tag, 0) + 1
        return counts


def scan(concepts: Sequence[Concept], dataset: DatasetConfig, loss: LossConfig, base: Path | str,
         progress: Callable[[int, int, str], None] | None = None, appearance: bool = False,
         template_folders: Sequence[Path] = (), strict: bool = True, earlier: Scan | None = None) -> Scan:
    """Read every picture of every concept once; `Scan`.

    base: the folder that relative paths start from. progress(done, total, text) may raise to stop. appearance: also
    what the pictures look like, to find duplicates and blurred ones. strict: refuse a folder without a single picture
    that can be read. earlier: a scan whose files need not be read again where they have not changed since.
    UserError for a folder that is missing, unfit or without pictures.
    """
    result = Scan()
    sources = listed(concepts, loss, base, result, template_folders, dataset)
    progress = progress or (lambda done, total, text: None)
    progress(0, len(sources), "reading pictures")

    def read(source: tuple[Subset, PictureFile]) -> Facts | Unreadable:
        return examined(source[1].path, appearance, result, earlier)

    labels = folder_labels(file.path.parent for _, file in sources)
    uses: dict[Path, dict] = defaultdict(dict)  # of one folder that several concepts read: how often it counts in each
    for done, ((subset, file), outcome) in enumerate(ordered(read, sources), 1):
        extension = subset.extension or dataset.caption_extension
        folder = file.path.parent
        use = subset.repeats or file.repeats or 1, subset.is_class
        number = uses[folder].setdefault(use, len(uses[folder]) + 1)
        label = labels[folder] if number == 1 else f"{labels[folder]} ({number})"
        take(subset, file, label, outcome, extension, result, earlier)
        progress(done, len(sources), "reading pictures")
    if strict:
        refuse_broken(sources, result)
    return result


def check(concepts: Sequence[Concept], loss: LossConfig, base: Path | str, template_folders: Sequence[Path] = ()
         ) -> None:
    """Raise the UserError that `scan` would; of each folder no more is read than it takes to find a good picture."""
    sources = listed(concepts, loss, base, Scan(), template_folders)
    groups: dict[tuple, list] = {}
    for subset, file in sources:
        groups.setdefault((subset.concept, subset.is_class), []).append((subset, file))
    for group in groups.values():
        broken = Scan()
        for subset, file in group:
            outcome = examined(file.path, False, Scan())
            if not isinstance(outcome, Unreadable):
                break
            take(subset, file, "", outcome, "", broken)
        else:
            refuse_broken(group, broken)


def listed(concepts: Sequence[Concept], loss: LossConfig, base: Path | str, result: Scan,
           template_folders: Sequence[Path], dataset: DatasetConfig | None = None) -> list[tuple[Subset, PictureFile]]:
    """Every picture file with its subset; templates, roots and problems go to the `Scan` `result`."""
    sources = []
    for number, concept in enumerate(concepts):
        subsets, lines = subsets_of(number, concept, loss, base, result.problems, template_folders, dataset)
        if lines:
            result.templates[number] = lines
        for subset in subsets:
            result.roots.append(subset.root)
            files = files_of(subset, result.problems, dataset.caption_extension if dataset else "",
                             may_be_empty=subset.is_class and bool(concept.num_class_images))
            sources += [(subset, file) for file in files]
    return sources


def examined(path: Path, appearance: bool, result: Scan, earlier: Scan | None = None) -> Facts | Unreadable:
    """`picture.examine`, or what the earlier scan knows of a file that has not changed since."""
    try:
        before = stamp(path)
        known_stamp, facts = earlier.examined.get(path, (None, None)) if earlier else (None, None)
        if facts is None or known_stamp != before or (appearance and facts.appearance is None):
            facts = examine(path, appearance)
            if stamp(path) != before or abs(time.time_ns() - before[1]) < YOUNG:
                return facts
        result.examined[path] = before, facts
        return facts
    except Unreadable as error:
        return error
    except Exception as error:  # one bad picture never ends a run
        return Unreadable("unreadable", f"{{}} can't be read ({type(error).__name__}: {str(error)[:80]}); "
                                        "save it again or remove it.")


def stamp(path: Path) -> Stamp:
    """What changes when the file does. Unreadable if it is gone."""
    try:
        status = path.stat()
    except OSError as error:
        raise Unreadable("unreadable", f"{{}} can't be opened ({system_reason(error)}).") from error
    return status.st_size, status.st_mtime_ns, status.st_ino


def folder_labels(folders: Iterable[Path]) -> dict[Path, str]:
    """What each folder is called: its name, with as many of those above it as tell it from the others."""
    parts = {folder: Path(os.path.abspath(folder)).parts for folder in folders}
    depth = dict.fromkeys(parts, 1)
    while True:
        labels = {folder: "/".join(names[-depth[folder] :]) for folder, names in parts.items()}
        counts = Counter(labels.values())
        alike = [folder for folder, label in labels.items() if counts[label] > 1 and depth[folder] < len(parts[folder])]
        if not alike:
            return labels
        for folder in alike:
            depth[folder] += 1


def take(subset: Subset, file: PictureFile, label: str, outcome: Facts | Unreadable, extension: str,
         result: Scan, earlier: Scan | None = None) -> None:
    """File the outcome of one picture under pictures or problems. label: what its folder is called."""
    name = printable(file.relative)
    if isinstance(outcome, Unreadable):
        result.problems.append(Problem(file.path, outcome.of(name), True, outcome.kind))
        return
    for kind, note in outcome.notes:
        result.problems.append(Problem(file.path, of_file(note, name), False, kind))
    caption, source = captions.caption_of(file, subset.prompt, extension, result.problems, subset.templated,
                                          subset.all_lines)
    caption = captions.affixed(caption, subset.prefix, subset.suffix)
    mask = None
    if file.mask:
        mask = masks.checked(file.mask, outcome, lambda path: examined(path, False, result, earlier), result.problems)
    result.pictures.append(Picture(
        file.path, outcome.width, outcome.height, caption, source, outcome.content,
        subset.repeats or file.repeats or 1, subset.is_class, subset.weight, subset.concept, printable(label),
        name, outcome.has_alpha, outcome.appearance, mask))


def refuse_broken(sources: list[tuple[Subset, PictureFile]], result: Scan) -> None:
    """UserError for a concept whose pictures are all unusable."""
    usable = {(picture.concept, picture.is_class) for picture in result.pictures}
    for subset, file in sources:
        if (subset.concept, subset.is_class) not in usable:
            key = f"concepts[{subset.concept}].{'class_images' if subset.is_class else 'images'}"
            first = next(problem.text for problem in result.problems if problem.fatal and problem.path == file.path)
            raise UserError(f'"{key}": none of its pictures can be read; {first}')
