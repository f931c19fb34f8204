"""The caption file of one picture while it is edited."""

from dataclasses import dataclass
from pathlib import Path

from lib_sdtune.data import captions, text
from lib_sdtune.data.caption_backup import back_up
from lib_sdtune.data.example import PictureFile
from lib_sdtune.data.problem import printable
from lib_sdtune.errors import UserError, system_reason
from lib_sdtune.formats.files import write_text


@dataclass
class Entry:
    """One picture and its caption. `file` is where the caption is or will be; `further`: other lines, left alone.

    encoding: in which `loaded` was read. is_cut: the file is longer than what is read, so that it can't be edited.
    """

    picture: Path
    file: Path
    loaded: str | None  # the file's whole text when it was read, None without a file
    caption: str
    original: str
    further: str = ""
    encoding: str = "utf-8"
    is_cut: bool = False

    @property
    def is_guess(self) -> bool:
        return text.is_guess(self.encoding)


def entry(file: PictureFile, extension: str) -> Entry:
    path = captions.caption_file(file.texts, extension)
    if path is None:
        caption = file.metadata_caption
        return Entry(file.path, file.path.with_suffix(extension), None, caption, caption)
    loaded, encoding = content(path)
    caption, further = first_line(loaded or "")
    return Entry(file.path, path, loaded, caption, caption, further, encoding, loaded is not None and text.is_cut(path))


def write(entry: Entry) -> None:
    """The caption of an `Entry` into its file, the old text beside it. OSError or RunError where that can't be done."""
    if entry.loaded is not None:
        back_up(entry.file, exactly=entry.is_guess)
    write_text(entry.file, entry.caption + (entry.further or "\n"))
    entry.loaded, entry.encoding = content(entry.file)
    entry.original, entry.is_cut = entry.caption, text.is_cut(entry.file)


def content(file: Path) -> tuple[str | None, str]:
    """(the text of a file, its encoding); the text is None if there is none."""
    try:
        return text.read(file)
    except FileNotFoundError:
        return None, "utf-8"
    except OSError as error:
        raise UserError(f"{printable(file)} can't be read ({system_reason(error)}).") from error


def first_line(content: str) -> tuple[str, str]:
    """(the first line that says something, everything behind it)."""
    body = content.lstrip("\n ")
    line, newline, further = body.partition("\n")
    return line.strip(), newline + further
