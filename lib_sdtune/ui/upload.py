"""Pictures from the browser's machine, for those who sit elsewhere: copied into a folder under the data folder."""

import shutil
from pathlib import Path

import gradio as gr

from lib_sdtune.errors import UserError


class UploadButton(gr.UploadButton):
    """gradio's own copies whatever file of the server a caller names; this one takes what was uploaded alone."""

    is_template = True  # the page knows it by its parent's name

    def preprocess(self, x):
        uploads = Path(self.DEFAULT_TEMP_DIR).resolve()
        for entry in x if isinstance(x, list) else [x or {}]:
            if entry.get("is_file") and not Path(entry.get("name") or "").resolve().is_relative_to(uploads):
                raise gr.Error("This file was not uploaded.")
        return super().preprocess(x)


TEXTS = (".txt", ".caption")


def save(files, name, folder):
    """Copy uploaded `files` (path, original name) into `folder`/NAME; its path.

    UserError when none of them is a picture or caption. Files of an earlier upload stay; one of the same name is
    replaced.
    """
    from lib_sdtune.data.kinds import SUFFIXES
    from lib_sdtune.formats.names import check_name

    target = Path(folder) / check_name(name or "upload")
    endings = (*SUFFIXES, *TEXTS)
    usable = [(Path(path), safe_name(original)) for path, original in files if Path(original).suffix.lower() in endings]
    if not usable:
        pictures, captions = " ".join(sorted(SUFFIXES)), " ".join(TEXTS)
        raise UserError(f"None of these files is a picture ({pictures}) or a caption ({captions}).")
    target.mkdir(parents=True, exist_ok=True)
    for path, file_name in usable:
        shutil.copyfile(path, target / file_name)
    return target


def safe_name(original):
    """The bare file name, letters that a path could misread replaced."""
    from lib_sdtune.formats.names import allowed

    path = Path(str(original).replace("\\", "/"))
    stem = "".join(letter if allowed(letter) else "_" for letter in path.stem).strip(". ") or "picture"
    return stem[:100] + path.suffix.lower()
