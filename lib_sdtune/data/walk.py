"""A folder of pictures as it lies on the disk: which files belong to it, and how often each counts.

Understood are a flat folder, nested folders, and kohya's `10_name` folders, alone or below one parent. No picture is
opened here. Hidden files and links that lead out of the folder are left alone.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lib_sdtune.data import metadata
from lib_sdtune.data.picture import SUFFIXES
from lib_sdtune.data.problem import Problem, shown
from lib_sdtune.errors import UserError

NUMBERED = re.compile(r"^(\d+)_(.*)$", re.DOTALL)
MOST_REPEATS = 10_000  # a larger number in front is a date
FOREIGN = {".tif", ".tiff", ".heic", ".heif", ".psd", ".svg", ".ico", ".raw", ".dng", ".cr2", ".nef", ".arw", ".jp2", ".tga", ".pdf"}
SYSTEM = {"__macosx", "@eadir", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"}
CAPTIONS = (".txt", ".caption")
DEEPEST = 32


@dataclass(frozen=True)
class Found:
    """One picture file. `repeats` and `words` are those of the nearest `10_name` folder (None and "" without one)."""

    path: Path
    relative: str
    folder: str
    repeats: int | None
    words: str
    texts: dict  # suffix in lower case -> file of the same stem
    listed: str = ""  # its caption in a metadata.jsonl


def locate(text, base, key):
    """The folder that a setting names, relative to `base`; UserError if it is none or one that no data set can be."""
    text = text.strip().strip("\"'").strip()
    if not text:
        raise UserError(f'"{key}" is empty; give the folder of your pictures.')
    if "\0" in text:
        raise UserError(f'"{key}" holds a character that no path can have.')
    try:
        return checked(absolute(text, base), text, key)
    except OSError as error:
        raise UserError(f'"{key}": {shown(text)} can\'t be opened ({error.strerror or error}).') from error


def absolute(text, base):
    """The path that a setting means: relative to `base`, with ~ for the home folder."""
    try:
        return Path(base) / Path(text).expanduser()
    except RuntimeError:  # no home folder
        return Path(base) / text


def home():
    try:
        return Path.home().resolve()
    except RuntimeError:
        return None


def checked(path, text, key):
    if not path.exists():
        raise UserError(f'"{key}": there is no folder {shown(text)}{missing_part(path)}.')
    if not path.is_dir():
        raise UserError(f'"{key}": {shown(text)} is a file; give the folder that it lies in.')
    fit_for_pictures(path, text, key)
    os.scandir(path).close()  # raises where it can't be listed
    return path


def fit_for_pictures(path, text, key):
    """UserError for folders that nobody's pictures should be read from or written to as a whole."""
    true = path.resolve()
    if true == Path(true.anchor):
        raise UserError(f'"{key}": {shown(text)} is the root of a drive; give the folder of your pictures.')
    if true == home():
        raise UserError(f'"{key}": {shown(text)} is your home folder; give the folder of your pictures.')
    if (true / "webui.py").exists() and (true / "modules").is_dir():
        raise UserError(f'"{key}": {shown(text)} is the WebUI itself; give the folder of your pictures.')


def missing_part(path):
    """' (X exists, but holds no "y")': the most helpful half of a wrong path."""
    child = Path(os.path.abspath(path))
    while not child.parent.exists():
        child = child.parent
    return f" ({shown(child.parent)} exists, but holds no {shown(child.name)!r})"


def walk(root, problems):
    """Every picture file below `root` as `Found`, in natural order; what is odd is appended to `problems`."""
    root = Path(root)
    found, visited, listed = [], set(), {}
    folders = [(root, "", *number(root.resolve().name, root, problems), 0)]
    while folders:
        folder, relative, repeats, words, depth = folders.pop()
        true = folder.resolve()
        if true in visited or depth > DEEPEST:
            continue
        visited.add(true)
        children, files = listing(folder, root, problems)
        if metadata.NAME in files:
            listed |= {relative + name: caption for name, caption in metadata.read(folder / metadata.NAME, problems).items()}
        found += pictures(folder, relative, repeats, words, files, listed, problems)
        for child in reversed(wanted(folder, children, problems) if depth == 0 else children):
            own = number(child, folder / child, problems) if NUMBERED.match(child) else (repeats, words)
            folders.append((folder / child, f"{relative}{child}/", *own, depth + 1))
    return [one for one in found if one.repeats != 0]


def listing(folder, root, problems):
    """(names of sub-folders, names of files), each in natural order, without what is hidden or leads out."""
    children, files = [], []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: natural(entry.name))
    except OSError as error:
        problems.append(Problem(folder, f"The folder {shown(folder.name)} can't be opened ({error.strerror}); its pictures are left out.",
                                True, "unreadable"))
        return children, files
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in SYSTEM:
            continue
        if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(root.resolve()):
            problems.append(Problem(Path(entry.path), f"{shown(entry.name)} is a link out of the folder; it is left out. "
                                                      "Copy what it points to.", True, "link"))
        elif entry.is_dir():
            children.append(entry.name)
        elif entry.is_file():
            files.append(entry.name)
    return children, files


def wanted(folder, children, problems):
    """Next to `10_name` folders, those without a number are left out, as kohya does (they hold logs, models, samples)."""
    numbered = [child for child in children if NUMBERED.match(child)]
    if not numbered:
        return children
    for child in children:
        if child not in numbered and holds_pictures(folder / child):
            problems.append(Problem(folder / child, f"The folder {shown(child)} has no number in front while its neighbours have; "
                                                    f"it is left out. Call it 1_{shown(child)} to use it.", True, "left out"))
    return numbered


def holds_pictures(folder):
    return any(Path(name).suffix.lower() in SUFFIXES for _, _, names in os.walk(folder) for name in names)


def pictures(folder, relative, repeats, words, files, listed, problems):
    texts, stems = {}, set()
    for name in files:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in SUFFIXES:
            stems.add(stem)
        else:
            texts.setdefault(stem, {})[suffix.lower()] = folder / name
    for name in files:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in SUFFIXES:
            yield Found(folder / name, relative + name, folder.resolve().name, repeats, words, texts.get(stem, {}),
                        listed.get(relative + name, ""))
        elif suffix.lower() in FOREIGN:
            problems.append(Problem(folder / name, f"{shown(relative + name)} is of a kind that is not read; save it as PNG or JPEG.",
                                    True, "not read"))
    for path in (path for stem in texts if stem not in stems for suffix, path in texts[stem].items() if suffix in CAPTIONS):
        problems.append(Problem(path, f"The caption {shown(relative + path.name)} has no picture of that name.", False, "caption orphan"))


def number(name, path, problems):
    """(repeats, words) of a folder called `10_name`; (None, "") of another."""
    match = NUMBERED.match(name)
    if not match:
        return None, ""
    if int(match[1]) > MOST_REPEATS:
        problems.append(Problem(path, f"The number in front of the folder {shown(name)} looks like a date, not like repeats; "
                                      "its pictures count once.", False, "repeats"))
        return None, ""
    if int(match[1]) == 0:
        problems.append(Problem(path, f"The folder {shown(name)} asks for 0 repeats; its pictures are left out.", True, "left out"))
    return int(match[1]), match[2].strip()


def natural(name):
    """Sorts 2.png before 10.png, and the same on every system."""
    return [(0, int(part), "") if part.isdigit() and part.isascii() else (1, 0, part.casefold()) for part in re.split(r"(\d+)", name)], name
