"""Pictures from the browser's machine, for those who sit elsewhere: each upload in a new folder of its own."""

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import gradio as gr

from lib_sdtune.errors import UserError
from lib_sdtune.formats.files import sync, write_text
from lib_sdtune.ui.upload_folder import new_folder
from lib_sdtune.ui.upload_kinds import is_taken, not_taken
from lib_sdtune.ui.upload_lists import MERGED, merged
from lib_sdtune.ui.upload_names import safe_name, unique_names


class UploadButton(gr.UploadButton):
    """gradio's own copies whatever file of the server a caller names; this one takes what was uploaded alone."""

    is_template = True  # the page knows it by its parent's name

    def preprocess(self, x: Any) -> Any:
        uploads = Path(self.DEFAULT_TEMP_DIR).resolve()
        for entry in x if isinstance(x, list) else [x or {}]:
            if entry.get("is_file") and not Path(entry.get("name") or "").resolve().is_relative_to(uploads):
                raise gr.Error("This file was not uploaded.")
        return super().preprocess(x)


@dataclass
class PictureSet:
    """An upload in its `folder`, and what was not taken as it came, in sentences."""

    folder: Path
    notes: list[str]


def original_name(file: Any) -> str:
    """What an uploaded file was called where it came from; later versions of gradio keep that name in the path
    alone.
    """
    return getattr(file, "orig_name", None) or Path(getattr(file, "name", file)).name


def dropped(text: str, originals: Sequence[str]) -> tuple[str, list[str]]:
    """(name of the folder that was dropped, "" for none; the paths that the files had below what was dropped).

    text: the page's {"name", "paths"} in JSON, "" for files that were chosen. Paths that are none of these files'
    count for nothing, for gradio may have left out letters of their names: `originals`.
    """
    try:
        said = json.loads(text or "{}")
        name, paths = str(said.get("name", "")), [str(path) for path in said.get("paths", ())]
    except (ValueError, TypeError, AttributeError):
        return "", list(originals)
    endings = [[PurePosixPath(path).suffix.lower() for path in some] for some in (paths, originals)]
    return name, paths if endings[0] == endings[1] else list(originals)


def save(files: Iterable[tuple[Path | str, str]], name: str, folder: Path, caption_extension: str = "") -> PictureSet:
    """Copy uploaded `files` (path, original name or path below what was dropped) into a new folder `folder`/NAME, or
    NAME-2 and so on, which is there with all of them or not at all.

    caption_extension: of caption files, besides the usual ones. UserError when none of the files is a picture or a
    caption; RunError where they can't be written. Nothing is added to an earlier upload.
    """
    from lib_sdtune.data.captions import EXTENSIONS
    from lib_sdtune.data.kinds import SUFFIXES, caption_ending
    from lib_sdtune.data.masks import is_mask
    from lib_sdtune.data.metadata import is_listing
    from lib_sdtune.formats.names import check_name

    name = check_name(name or "upload")
    endings = tuple(dict.fromkeys(filter(None, [caption_ending(caption_extension), *EXTENSIONS])))
    uploads = [(Path(path), relative(original)) for path, original in files]
    lists = [(path, original) for path, original in uploads if is_listing(original.name)]
    others = [(path, original) for path, original in uploads if is_taken(original.name, endings)]
    if not others:
        pictures, captions = " ".join(sorted(SUFFIXES)), " ".join(endings)
        raise UserError(f"None of these files is a picture ({pictures}) or a caption ({captions}).")
    notes = not_taken([original.name for _, original in uploads
                       if not is_listing(original.name) and not is_taken(original.name, endings)])
    names = unique_names([original for _, original in others], endings)
    targets = [(path, target) for (path, _), target in zip(others, names, strict=True)]
    listed = ""
    if keep_their_names([*others, *lists], [*names, *(original.name for _, original in lists)]):
        targets += [(path, original.name.lower()) for path, original in lists]
    elif lists:
        renamed = [(original, target) for (_, original), target in zip(others, names, strict=True)
                   if not is_mask(target) and not target.endswith(endings)]
        listed, lost = merged(lists, renamed)
        notes += lost
    with new_folder(folder, name) as unfinished:
        for path, target in targets:
            shutil.copyfile(path, unfinished.path / target)
            sync(unfinished.path / target)
        if listed:
            write_text(unfinished.path / MERGED, listed)
    return PictureSet(unfinished.path, notes)


def relative(original: str) -> PurePosixPath:
    """The path that a file had below what was dropped, of harmless parts alone."""
    parts = [part for part in original.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return PurePosixPath(*parts)


def keep_their_names(uploads: Sequence[tuple[Path, PurePosixPath]], names: Sequence[str]) -> bool:
    """Whether lists of captions name the files rightly as they are, each list under a name of its own."""
    kept = all(original.name.casefold() == name.casefold() for (_, original), name in zip(uploads, names, strict=True))
    return kept and len(set(map(str.casefold, names))) == len(names)


def name_of_set(dropped: str) -> str:
    """A folder's name made fit for one here, "" for none: of "10_ron" it is "10_ron", whose number says repeats."""
    return safe_name(dropped) if dropped.strip() else ""
