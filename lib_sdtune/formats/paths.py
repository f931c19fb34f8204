"""Text that means a folder or a file: typed, pasted with the quotes of "Copy as path", or as a file: address."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lib_sdtune.errors import BREAKS, UserError

QUOTES = "\"'“”„‘’«»"


def path_of(text: str, base: Path | str = "") -> Path | None:
    """The absolute path that a text means, relative to `base`, "~" being the home folder; None where it means none.

    Quotes and blanks around it are left away, unless there is a file of exactly that name.
    """
    if "\0" in text or special_sign(text, base):
        return None
    bare = bare_path(text)
    if not bare:
        return None
    literal = Path(base, text)
    if bare != text and not is_share(bare) and exists(literal):
        return literal.absolute()
    try:
        return Path(base, Path(bare).expanduser()).absolute()
    except RuntimeError:  # no home folder
        return Path(base, bare).absolute()


def special_sign(text: str, base: Path | str = "") -> str:
    """A tab, line break or other control sign inside a path, as code writes it; "" for a file that really has it.

    In JSON and TOML a backslash begins such a sign, so that "C:\train\new" is read as a tab and a line break.
    """
    match = BREAKS.search(text.strip())
    return "" if match is None or match[0] == "\0" or exists(Path(base, text)) else repr(match[0])[1:-1]


def bare_path(text: str) -> str:
    """The text without quotes and blanks around it, a file: address as a path; "" where nothing is left."""
    text = text.strip().strip(QUOTES).strip()
    if not text.lower().startswith("file:/"):
        return text
    address = urlsplit(text.replace("\\", "/").replace("#", "%23").replace("?", "%3F"))
    path = unquote(address.path)
    if address.netloc and address.netloc.lower() != "localhost":
        return f"//{address.netloc}{path}"
    windows = path[2:3] == ":" and path[1:2].isalpha()  # file:///C:/pictures
    return path[1:] if windows else path


def is_share(text: str) -> bool:
    """Whether this is a place on another machine, as Windows writes it; merely asking for it would log on there."""
    return text.strip().replace("\\", "/").startswith("//")


def exists(path: Path) -> bool:
    """False also for names that no file can have, such as too long ones, where `Path` raises."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_file(path: str | Path) -> bool:
    """As `exists`, for files alone."""
    return os.path.isfile(path)


def refuse_dead_link(path: Path) -> None:
    """UserError where a path to be written, or a folder above it, is a link to nothing: no folder can be made there."""
    path = Path(path).absolute()
    dead = next((place for place in (path, *path.parents) if os.path.islink(place) and not exists(place)), None)
    if dead:
        raise UserError(f"{dead} is a link that leads nowhere: {os.readlink(dead)} is not there. "
                        "Mount the disk that it is on, or mend the link.")
