"""Captions listed in one file, as Hugging Face's image folders and kohya's fine-tuning scripts keep them.

`metadata` or `captions`, as .jsonl (an object a line), .csv (with a heading) or .json (a list of objects, or an object
of file name -> caption or object). Rows name files relative to the list; every row that is not used is told.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from lib_sdtune.data import text
from lib_sdtune.data.example import PictureFile
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.errors import system_reason
from lib_sdtune.sentences import phrase

STEMS, SUFFIXES = ("metadata", "captions", "meta_cap"), (".jsonl", ".csv", ".json")
FILE_COLUMNS = ("file_name", "file", "filename", "image", "image_path", "path")
CAPTION_COLUMNS = ("text", "caption", "prompt", "description")
MAX_BYTES = 256 << 20  # bytes


@dataclass
class Listing:
    """One such file. prefix: its folder below the root, "" or with / at the end. rows: [(file name, caption)]."""

    path: Path
    prefix: str
    rows: list[tuple[str, str]] = field(default_factory=list)


def is_listing(name: str) -> bool:
    path = PurePosixPath(name.lower())
    return path.stem in STEMS and path.suffix in SUFFIXES


def read(path: Path, prefix: str, problems: list[Problem], name: str = "") -> Listing | None:
    """The `Listing` in a file, None if it is none; what can't be read is told, of `name` where it was called so."""
    name = printable(name or path.name)
    try:
        content, encoding = text.read(path, MAX_BYTES)
        rows, broken, unreadable = parse(content, PurePosixPath(name).suffix.lower())
    except OSError as error:
        problems.append(Problem(path, f"{name} can't be read ({system_reason(error)}).", False, "caption unreadable"))
        return None
    except (ValueError, csv.Error, RecursionError) as error:
        problems.append(Problem(path, f"{name} lists no captions that can be read ({str(error)[:80]}).",
                                False, "caption unreadable"))
        return None
    if text.is_guess(encoding):
        problems.append(Problem(path, f"{name} is not UTF-8; its captions were read as {encoding}. Save it as UTF-8 to "
                                      "be sure.", False, "caption not UTF-8"))
    if broken:
        problems.append(Problem(path, unreadable.format(name, broken), False, "caption unreadable"))
    listing, several = Listing(path, prefix), 0
    for file_name, captions in rows:
        listing.rows.append((file_name, captions[0]))
        several += len(captions) > 1
    if several:
        problems.append(Problem(path, f"{name} has several captions for {several} of its files; the first of each is "
                                      "used.",
                                False, "caption lines"))
    return listing


Rows = list[tuple[str, list[str]]]  # (file name, its captions)
LINES = '{} has lines without a "file_name" and a "text", which are ignored: {}.'
ENTRIES = '{} has entries without a "file_name" and a "text", which are ignored: {}.'


def parse(content: str, suffix: str) -> tuple[Rows, int, str]:
    """(rows, how many could not be read, the sentence about these). ValueError where nothing can."""
    if suffix == ".jsonl":
        entries: list = [decoded(line) for line in filter(str.strip, content.split("\n"))]
        unreadable = LINES
    elif suffix == ".csv":
        entries, unreadable = list(csv.DictReader(io.StringIO(content))), LINES
    else:
        data, unreadable = json.loads(content), ENTRIES
        if isinstance(data, dict):
            data = [named(name, value) for name, value in data.items()]
        if not isinstance(data, list):
            raise ValueError(phrase("it is neither a list nor an object"))
        entries = data
    rows = [row for row in map(row_of, entries) if row]
    return rows, len(entries) - len(rows), unreadable


def decoded(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def named(name: str, value: object) -> object:
    """An entry of {file name: caption, captions or object}; kohya's have a caption and tags."""
    if not isinstance(value, dict):
        return {"file_name": name, "text": value}
    parts = [str(value[key]) for key in ("caption", "tags") if value.get(key)]
    return {"text": ", ".join(parts), **value, "file_name": name} if len(parts) < 2 else {
        "file_name": name, "text": ", ".join(parts)}


def row_of(entry: object) -> tuple[str, list[str]] | None:
    if not isinstance(entry, dict):
        return None
    entry = {str(key).strip().lower(): value for key, value in entry.items()}
    name = next((entry[key] for key in FILE_COLUMNS if isinstance(entry.get(key), str) and entry[key].strip()), None)
    value = next((entry[key] for key in CAPTION_COLUMNS if entry.get(key)), None)
    captions = [part.strip() for part in (value if isinstance(value, list) else [value])
                if isinstance(part, str) and not text.is_blank(part)]
    return (name.strip(), captions) if name and captions else None


def assigned(files: Sequence[PictureFile], listings: Sequence[Listing], extensions: Sequence[str],
             problems: list[Problem]) -> list[PictureFile]:
    """The files with their listed captions. Rows that are of no file, or whose picture has a caption file, are told."""
    captions: dict[str, str] = {}
    by_name = names_of(files)
    written = {file.relative for file in files if any(suffix in file.texts for suffix in extensions)}
    for listing in listings:
        lost, overruled = [], []
        for name, caption in listing.rows:
            relative = find(name, listing.prefix, by_name)
            if relative is None:
                lost.append(name)
            elif relative in written or relative in captions:
                overruled.append(name)
            else:
                captions[relative] = caption
        name = printable(listing.path.name)
        problems += of_no_picture(listing.path, name, lost)
        if overruled:
            problems.append(unused(listing.path, f"{len(overruled)} of the captions in {name} are not used, because "
                                                 "their pictures have another caption; the first is that of "
                                                 f"{printable(overruled[0])}."))
    return [replace(file, metadata_caption=captions[file.relative]) if file.relative in captions else file
            for file in files]


def of_no_picture(path: Path, name: str, lost: Sequence[str]) -> list[Problem]:
    """What is said of rows of a list, by the file names in them, that are of no picture."""
    if not lost:
        return []
    return [unused(path, f"{len(lost)} of the captions in {printable(name)} are of no picture in the folder; the first "
                         f"is that of {printable(lost[0])}.")]


def unused(path: Path, sentence: str) -> Problem:
    return Problem(path, sentence, False, "caption not used")


def names_of(files: Sequence[PictureFile]) -> dict[str, str | None]:
    """{a way to name a file, in lower case: its relative path, None where that is of several}."""
    names: dict[str, str | None] = {}
    for file in files:
        full = file.relative.casefold()
        for name in {full, full.rpartition(".")[0], str(file.path).replace("\\", "/").casefold()}:
            names[name] = None if name in names else file.relative
    bare: dict[str, str | None] = {}
    for file in files:
        last = file.path.name.casefold()
        for name in {last, last.rpartition(".")[0]}:
            bare[name] = None if name in bare else file.relative
    return {**bare, **names}


def find(name: str, prefix: str, names: dict[str, str | None]) -> str | None:
    """The relative path of the file that a row means: as it stands, else without the folders in front that are not
    here.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    full_name = "/".join(parts).replace("//", "/").casefold()
    for start in range(len(parts)):
        tail = "/".join(parts[start:]).casefold()
        for candidate in (full_name, prefix.casefold() + tail, tail):
            if names.get(candidate):
                return names[candidate]
    return None
