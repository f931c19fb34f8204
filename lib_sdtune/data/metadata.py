"""Captions listed in one file: the `metadata.jsonl` of Hugging Face image folders."""

import json
from pathlib import Path, PurePosixPath

from lib_sdtune.data import text
from lib_sdtune.data.problem import Problem, printable

NAME = "metadata.jsonl"
COLUMNS = ("text", "caption", "prompt")
LONGEST = 256 << 20  # bytes


def read(path: Path, problems: list[Problem]) -> dict[str, str]:
    """{path below the file's folder: caption}; lines that can't be read are counted in one problem."""
    captions, bad = {}, 0
    try:
        lines = text.read(path, LONGEST)[0].split("\n")
    except OSError as error:
        problems.append(Problem(path, f"{NAME} can't be read ({error.strerror or error}).",
                                False, "caption unreadable"))
        return {}
    for line in filter(str.strip, lines):
        try:
            row = json.loads(line)
            caption = next(str(row[key]).strip() for key in COLUMNS if row.get(key))
            captions[str(PurePosixPath(row["file_name"]))] = caption
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError):
            bad += 1
    if bad:
        problems.append(Problem(path, f"{printable(path.name)} has {bad} lines without a \"file_name\" and a \"text\"; "
                                      "they are ignored.", False, "caption unreadable"))
    return captions
