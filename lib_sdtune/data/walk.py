"""A folder of pictures as it lies on the disk: which files belong to it, and how often each counts.

Understood are a flat folder, nested folders, and kohya's `10_name` folders, alone or below one parent. Hidden files and
links that lead out of the folder are left alone; every other file is a picture, belongs to one, or is named.
"""

import os
import re
from pathlib import Path

from lib_sdtune.data import masks, metadata
from lib_sdtune.data.captions import EXTENSIONS
from lib_sdtune.data.example import PictureFile
from lib_sdtune.data.kinds import PLUGGED_IN, UNREAD, caption_ending, is_picture
from lib_sdtune.data.listing import NAMED
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.errors import system_reason

NUMBERED = re.compile(r"^(\d+)_(.*)$", re.DOTALL)
MAX_REPEATS = 10_000  # a larger number in front is a date
PLAUSIBLE_REPEATS = 200
YEARS = range(1900, 2100)
YEAR = ("The number in front of the folder {} looks like a year, not like repeats; its pictures count once. "
        'Set "repeats" if you mean {}.')
DATE = ("The number in front of the folder {} looks like a date, not like repeats; its pictures count once. "
        'Set "repeats" if you mean {}.')
SYSTEM = {"__macosx", "@eadir", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"}
COMPANIONS = (".bak", ".tmp")  # of our own, beside captions and pictures
OURS = {"manifest.json"}
MAX_DEPTH = 32


def walk(root: Path | str, problems: list[Problem], caption_extension: str = "") -> list[PictureFile]:
    """Every picture file below `root`, in natural order; what is odd is appended to `problems`.

    caption_extension: of caption files, besides the usual ones.
    """
    root = Path(root)
    extensions = tuple(dict.fromkeys(filter(None, [caption_ending(caption_extension), *EXTENSIONS])))
    files: list[PictureFile] = []
    listings: list[metadata.Listing] = []
    visited: set[Path] = set()
    folders = [(root, "", *numbered(root_name(root), root, problems), 0)]
    while folders:
        folder, relative, repeats, words, depth = folders.pop()
        target = folder.resolve()
        if target in visited or depth > MAX_DEPTH:
            continue
        visited.add(target)
        children, names = listing(folder, root, problems)
        lists = [name for name in names if metadata.is_listing(name)]
        listings += filter(None, [metadata.read(folder / name, relative, problems) for name in lists])
        names = [name for name in names if name not in lists]
        files += pictures(folder, relative, repeats, words, names, extensions, problems)
        for child in reversed(used_folders(folder, children, problems) if depth == 0 else children):
            number = numbered(child, folder / child, problems) if NUMBERED.match(child) else (repeats, words)
            folders.append((folder / child, f"{relative}{child}/", *number, depth + 1))
    files = metadata.assigned(files, listings, extensions, problems)
    return [file for file in files if file.repeats != 0]


def root_name(root: Path) -> str:
    """The folder's name as it was given, also that of a link, which `resolve` would replace by its target's."""
    return Path(os.path.abspath(root)).name


def listing(folder: Path, root: Path, problems: list[Problem]) -> tuple[list[str], list[str]]:
    """(names of sub-folders, names of files), each in natural order, without what is hidden or leads out."""
    children: list[str] = []
    files: list[str] = []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: natural(entry.name))
    except OSError as error:
        problems.append(Problem(folder, f"The folder {printable(folder.name)} can't be opened "
                                        f"({system_reason(error)}); its pictures are left out.", True, "unreadable"))
        return children, files
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in SYSTEM:
            continue
        if entry.is_symlink() and (fault := link_fault(Path(entry.path), root)):
            problems.append(Problem(Path(entry.path), fault, True, "link"))
        elif entry.is_dir():
            children.append(entry.name)
        elif entry.is_file():
            files.append(entry.name)
    return children, files


def link_fault(link: Path, root: Path) -> str:
    """Why a link is left out; "" where it ends below `root`."""
    name = printable(link.name)
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # nothing is there, or it leads round to itself
        return f"{name} is a link that leads nowhere; it is left out."
    if target.is_relative_to(root.resolve()):
        return ""
    return f"{name} is a link out of the folder; it is left out. Copy what it points to."


def used_folders(folder: Path, children: list[str], problems: list[Problem]) -> list[str]:
    """Next to `10_name` folders, those without a number are left out, as kohya does: they hold logs or samples."""
    with_number = [child for child in children if NUMBERED.match(child)]
    if not with_number:
        return children
    for child in children:
        if child in with_number or not holds_pictures(folder / child):
            continue
        name = printable(child)
        sentence = (f"The folder {name} has no number in front while its neighbours have; it is left out. "
                    f"Call it 1_{name} to use it.")
        problems.append(Problem(folder / child, sentence, True, "left out"))
    return with_number


def holds_pictures(folder: Path) -> bool:
    return any(is_picture(Path(place, name)) for place, _, names in os.walk(folder) for name in names)


def pictures(folder: Path, relative: str, repeats: int | None, words: str, names: list[str],
             extensions: tuple[str, ...], problems: list[Problem]) -> list[PictureFile]:
    """The pictures of one folder; captions without a picture, and files that are neither, are named."""
    texts: dict[str, dict[str, Path]] = {}
    images, unread, unknown = [], [], []
    for name in names:
        suffix = os.path.splitext(name)[1]
        ending = max((ending for ending in extensions if name.lower().endswith(ending)), key=len, default="")
        if ending:
            texts.setdefault(name[:-len(ending)], {})[ending] = folder / name
        elif is_picture(folder / name):
            images.append(name)
        elif suffix.lower() in UNREAD or suffix.lower() in PLUGGED_IN:
            unread.append(name)
        elif suffix.lower() not in COMPANIONS and name not in OURS:
            unknown.append(name)
    mask_names = masks.by_stem(images)
    images = [name for name in images if not masks.is_mask(name)]
    for name in unread:
        problems.append(Problem(folder / name, f"{printable(relative + name)} is of a kind that is not read; "
                                               "save it as PNG or JPEG.", True, "not read"))
    stems = {os.path.splitext(name)[0] for name in images}
    for path in [path for stem in texts if stem not in stems for path in texts[stem].values()]:
        problems.append(Problem(path, f"The caption {printable(relative + path.name)} has no picture of that name.",
                                False, "caption orphan"))
    for name in [name for stem, name in mask_names.items() if stem not in stems]:
        problems.append(Problem(folder / name, f"The mask {printable(relative + name)} has no picture of that name; "
                                               "it is "
                                               "not used.", True, "mask orphan"))
    if unknown:
        problems.append(Problem(folder / unknown[0], unused(relative, unknown), False, "not used"))
    files = []
    for name in images:
        stem = os.path.splitext(name)[0]
        mask = folder / mask_names[stem] if stem in mask_names else None
        files.append(PictureFile(folder / name, relative + name, repeats, words, texts.get(stem, {}), mask=mask))
    return files


def unused(relative: str, names: list[str]) -> str:
    listed = ", ".join(printable(relative + name) for name in names[:NAMED])
    if len(names) > NAMED:
        return f"{listed} and {len(names) - NAMED} more are neither pictures nor captions; they are not used."
    if len(names) > 1:
        return f"{listed} are neither pictures nor captions; they are not used."
    return f"{listed} is neither a picture nor a caption; it is not used."


def numbered(name: str, path: Path, problems: list[Problem]) -> tuple[int | None, str]:
    """(repeats, words) of a folder called `10_name`; (None, "") of another."""
    match = NUMBERED.match(name)
    if not match:
        return None, ""
    repeats = int(match[1])
    if repeats > MAX_REPEATS or repeats in YEARS:
        sentence = YEAR if repeats in YEARS else DATE
        problems.append(Problem(path, sentence.format(printable(name), match[1]), False, "repeats"))
        return None, ""
    if repeats > PLAUSIBLE_REPEATS:
        problems.append(Problem(path, f"The number in front of the folder {printable(name)} makes each of its pictures "
                                      f'count {repeats:,} times; set "repeats", or rename it, if you do not mean that.',
                                False, "repeats"))
    if repeats == 0:
        problems.append(Problem(path, f"The folder {printable(name)} asks for 0 repeats; its pictures are left out.",
                                True, "left out"))
    return repeats, match[2].strip()


def natural(name: str) -> tuple:
    """A sort key: 2.png before 10.png, and the same on every system."""
    parts = re.split(r"(\d+)", name)
    numeric = [part.isdigit() and part.isascii() for part in parts]
    return [(0, int(part), "") if is_number else (1, 0, part.casefold())
            for part, is_number in zip(parts, numeric, strict=True)], name
