"""A picture on its way into a batch: a file that was found, a picture that can be used, an example that is shown."""

from dataclasses import dataclass
from pathlib import Path

from lib_sdtune.data.appearance import Appearance
from lib_sdtune.data.buckets import Size
from lib_sdtune.data.plain_background import Other


@dataclass(frozen=True)
class PictureFile:
    """A picture file before it is opened. `relative` is its path below the root, with / on every system.

    `repeats` and `words` are those of the nearest `10_name` folder (None and "" without one).
    """

    path: Path
    relative: str
    repeats: int | None
    words: str
    texts: dict[str, Path]  # ending in lower case, which may have several dots -> file of the same stem
    metadata_caption: str = ""  # its caption in a list such as metadata.jsonl
    mask: Path | None = None


@dataclass(frozen=True)
class Mask:
    """content: a hash of the file's bytes."""

    path: Path
    content: str


@dataclass(frozen=True)
class Picture:
    """One usable picture. Size in pixels the right way up; `content` is a hash of the file's bytes.

    caption_from: "file", "prompt", "folder", "name" or "none". concept: its number. folder: its folder's name,
    with those above it as far as it takes to tell folders apart, and a number where it is used in several ways.
    relative: path below the concept's folder, with / on every system.
    """

    path: Path
    width: int
    height: int
    caption: str
    caption_from: str
    content: str
    repeats: int
    is_class: bool
    weight: float
    concept: int
    folder: str
    relative: str = ""
    has_alpha: bool = False
    appearance: Appearance | None = None
    mask: Mask | None = None


@dataclass(frozen=True)
class Example:
    """One picture as it is shown once.

    index: the picture's stable number. occurrence: how often it was shown before. size: (width, height) of its bucket.
    The picture is scaled to `scaled`, cut at `crop` (left, top), then mirrored if `flip`. weight: its share of the
    loss. unconditional: it is shown under no prompt at all, as guidance asks for one; its caption is "".
    background: another than the picture's own, or None.
    """

    picture: Picture
    index: int
    occurrence: int
    caption: str
    size: Size
    crop: tuple[int, int]
    flip: bool
    weight: float
    scaled: Size
    unconditional: bool = False
    background: Other | None = None
