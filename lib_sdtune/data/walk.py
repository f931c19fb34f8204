"""A folder of pictures as it lies on the disk: which files belong to it, and how often each counts.

Understood are a flat folder, nested folders, and kohya's `10_name` folders, alone or below one parent. No picture is
opened here. Hidden files and links that lead out of the folder are left alone.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lib_sdtune.data import metadata
from lib_sdtune.data.picture import SUFFIXES
from lib_sdtune.data.problem import Problem, printable

NUMBERED = re.compile(r"^(\d+)_(.*)$", re.DOTALL)
MOST_REPEATS = 10_000  # a larger number in front is a date
UNREAD = {".tif", ".tiff", ".heic", ".heif", ".psd", ".svg", ".ico", ".raw", ".dng", ".cr2", ".nef", ".arw", ".jp2",
          ".tga", ".pdf"}
SYSTEM = {"__macosx", "@eadir", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"}
CAPTIONS = (".txt", ".caption")
DEEPEST = 32


@dataclass(frozen=True)
class PictureFile:
    """A picture file before it is opened. `relative` is its path below the root, with / on every system.

    `repeats` and `words` are those of the nearest `10_name` folder (None and "" without one).
    """

    path: Path
    relative: str
    folder: str
    repeats: int | None
    words: str
    texts: dict[str, Path]  # suffix in lower case -> file of the same stem
    metadata_caption: str = ""  # its caption in a metadata.jsonl


def walk(root: Path | str, problems: list[Problem]) -> list[PictureFile]:
    """Every picture file below `root`, in natural order; what is odd is appended to `problems`."""
    root = Path(root)
    files: list[PictureFile] = []
    visited: set[Path] = set()
    captions: dict[str, str] = {}
    folders = [(root, "", *numbered(root.resolve().name, root, problems), 0)]
    while folders:
        folder, relative, repeats, words, depth = folders.pop()
        target = folder.resolve()
        if target in visited or depth > DEEPEST:
            continue
        visited.add(target)
        children, names = listing(folder, root, problems)
        if metadata.NAME in names:
            rows = metadata.read(folder / metadata.NAME, problems)
            captions |= {relative + name: caption for name, caption in rows.items()}
        files += pictures(folder, relative, repeats, words, names, captions, problems)
        for child in reversed(used_folders(folder, children, problems) if depth == 0 else children):
            number = numbered(child, folder / child, problems) if NUMBERED.match(child) else (repeats, words)
            folders.append((folder / child, f"{relative}{child}/", *number, depth + 1))
    return [file for file in files if file.repeats != 0]


def listing(folder: Path, root: Path, problems: list[Problem]) -> tuple[list[str], list[str]]:
    """(names of sub-folders, names of files), each in natural order, without what is hidden or leads out."""
    children: list[str] = []
    files: list[str] = []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: natural(entry.name))
    except OSError as error:
        problems.append(Problem(folder, f"The folder {printable(folder.name)} can't be opened ({error.strerror}); "
                                        "its pictures are left out.", True, "unreadable"))
        return children, files
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in SYSTEM:
            continue
        if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(root.resolve()):
            problems.append(Problem(Path(entry.path), f"{printable(entry.name)} is a link out of the folder; "
                                                      "it is left out. Copy what it points to.", True, "link"))
        elif entry.is_dir():
            children.append(entry.name)
        elif entry.is_file():
            files.append(entry.name)
    return children, files


def used_folders(folder: Path, children: list[str], problems: list[Problem]) -> list[str]:
    """Next to `10_name` folders, those without a number are left out, as kohya does: they hold logs or samples."""
    with_number = [child for child in children if NUMBERED.match(child)]
    if not with_number:
        return children
    for child in children:
        if child not in with_number and holds_pictures(folder / child):
            name = printable(child)
            sentence = (f"The folder {name} has no number in front while its neighbours have; it is left out. "
                        f"Call it 1_{name} to use it.")
            problems.append(Problem(folder / child, sentence, True, "left out"))
    return with_number


def holds_pictures(folder: Path) -> bool:
    return any(Path(name).suffix.lower() in SUFFIXES for _, _, names in os.walk(folder) for name in names)


def pictures(folder: Path, relative: str, repeats: int | None, words: str, names: list[str], captions: dict[str, str],
             problems: list[Problem]) -> Iterator[PictureFile]:
    """The pictures of one folder. captions: relative path -> caption of metadata files."""
    texts: dict[str, dict[str, Path]] = {}
    stems = set()
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in SUFFIXES:
            stems.add(stem)
        else:
            texts.setdefault(stem, {})[suffix.lower()] = folder / name
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in SUFFIXES:
            yield PictureFile(folder / name, relative + name, folder.resolve().name, repeats, words,
                              texts.get(stem, {}), captions.get(relative + name, ""))
        elif suffix.lower() in UNREAD:
            problems.append(Problem(folder / name, f"{printable(relative + name)} is of a kind that is not read; "
                                                   "save it as PNG or JPEG.", True, "not read"))
    for stem in [stem for stem in texts if stem not in stems]:
        for path in (texts[stem][suffix] for suffix in CAPTIONS if suffix in texts[stem]):
            problems.append(Problem(path, f"The caption {printable(relative + path.name)} has no picture of that name.",
                                    False, "caption orphan"))


def numbered(name: str, path: Path, problems: list[Problem]) -> tuple[int | None, str]:
    """(repeats, words) of a folder called `10_name`; (None, "") of another."""
    match = NUMBERED.match(name)
    if not match:
        return None, ""
    if int(match[1]) > MOST_REPEATS:
        problems.append(Problem(path, f"The number in front of the folder {printable(name)} looks like a date, not "
                                      "like repeats; its pictures count once.", False, "repeats"))
        return None, ""
    if int(match[1]) == 0:
        problems.append(Problem(path, f"The folder {printable(name)} asks for 0 repeats; its pictures are left out.",
                                True, "left out"))
    return int(match[1]), match[2].strip()


def natural(name: str) -> tuple:
    """A sort key: 2.png before 10.png, and the same on every system."""
    parts = re.split(r"(\d+)", name)
    numeric = [part.isdigit() and part.isascii() for part in parts]
    return [(0, int(part), "") if is_number else (1, 0, part.casefold())
            for part, is_number in zip(parts, numeric, strict=True)], name
