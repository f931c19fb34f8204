"""Pictures from the browser's machine, for those who sit elsewhere: each upload in a new folder of its own."""

import itertools
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

from lib_sdtune.errors import UserError


class UploadButton(gr.UploadButton):
    """gradio's own copies whatever file of the server a caller names; this one takes what was uploaded alone."""

    is_template = True  # the page knows it by its parent's name

    def preprocess(self, x: Any) -> Any:
        uploads = Path(self.DEFAULT_TEMP_DIR).resolve()
        for entry in x if isinstance(x, list) else [x or {}]:
            if entry.get("is_file") and not Path(entry.get("name") or "").resolve().is_relative_to(uploads):
                raise gr.Error("This file was not uploaded.")
        return super().preprocess(x)


TEXTS = (".txt", ".caption")


def original_name(file: Any) -> str:
    """What an uploaded file was called where it came from; later versions of gradio keep that name in the path
    alone.
    """
    return getattr(file, "orig_name", None) or Path(getattr(file, "name", file)).name


def save(files: Iterable[tuple[Path | str, str]], name: str, folder: Path) -> Path:
    """Copy uploaded `files` (path, original name) into a new folder `folder`/NAME, or NAME-2 and so on; its path.

    UserError when none of them is a picture or a caption. Nothing is added to an earlier upload.
    """
    from lib_sdtune.data.kinds import SUFFIXES
    from lib_sdtune.formats.names import check_name

    name = check_name(name or "upload")
    uploads = [(Path(path), Path(original.replace("\\", "/"))) for path, original in files]
    uploads = [(path, original) for path, original in uploads if original.suffix.lower() in (*SUFFIXES, *TEXTS)]
    if not uploads:
        pictures, captions = " ".join(sorted(SUFFIXES)), " ".join(TEXTS)
        raise UserError(f"None of these files is a picture ({pictures}) or a caption ({captions}).")
    place = new_folder(folder, name)
    for (path, _), target in zip(uploads, unique_names([original for _, original in uploads]), strict=True):
        shutil.copyfile(path, place / target)
    return place


def name_of_set(dropped: str) -> str:
    """A folder's name made fit for one here, "" for none: of "10_ron" it is "10_ron", whose number says repeats."""
    return safe_name(dropped) if dropped.strip() else ""


def new_folder(folder: Path, name: str) -> Path:
    """A folder that was not there before, called NAME or NAME-2 and so on."""
    for number in itertools.count(1):
        path = folder / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            path.mkdir(parents=True)
            return path
    raise AssertionError


def unique_names(originals: Iterable[Path]) -> Iterator[str]:
    """Plain file names, each once; a picture and its caption, which differ in their endings alone, stay a pair."""
    stems: dict[tuple[str, int], str] = {}  # (original stem, which of that name and ending) -> plain stem
    counts: Counter[tuple[str, str]] = Counter()
    for original in originals:
        stem, suffix = original.stem.casefold(), original.suffix.lower()
        key = stem, counts[stem, suffix]
        counts[stem, suffix] += 1
        if key not in stems:
            taken = {earlier.casefold() for earlier in stems.values()}
            first = safe_name(original.stem)
            candidates = itertools.chain([first], (f"{first}-{number}" for number in itertools.count(2)))
            stems[key] = next(candidate for candidate in candidates if candidate.casefold() not in taken)
        yield stems[key] + suffix


def safe_name(stem: str) -> str:
    """A file name without ending, letters that a path could misread replaced."""
    from lib_sdtune.formats.names import allowed

    return ("".join(letter if allowed(letter) else "_" for letter in stem).strip(". ") or "picture")[:100]
