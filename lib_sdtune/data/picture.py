"""One picture file: what it is, whether it can be read, and its colours as training sees them.

Whatever the file holds (palette, alpha, CMYK, 16 bit, rotated by EXIF, animated), it comes out as 8-bit RGB the
right way up, with transparency shown on white. Only the kinds of `kinds` are opened, and none before its size is
known.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageFile

from lib_sdtune.data import colours
from lib_sdtune.data.appearance import Appearance, appearance_of
from lib_sdtune.data.kinds import PLUGGED_IN, SUFFIXES, accepted, guess, header, promised
from lib_sdtune.data.problem import printable
from lib_sdtune.errors import system_reason

MAX_PIXELS = 128_000_000  # pixels: four bytes each are what a modest machine can spare
LARGE, MOST_PER_BYTE = 20_000_000, 100  # pixels; what costs seconds and has nothing to show
MAX_FILE_BYTES = 1 << 30  # bytes
EXAMINED_SIDE = 512  # pixels of the long side that are enough to see what a picture looks like
WHITE = (255, 255, 255)
TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
         5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
         8: Image.Transpose.ROTATE_90}
ORIENTATION = 0x0112


class Unreadable(Exception):
    """Why a picture cannot be used. sentence: with {} for the picture's name; kind: a word or two for it."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind, self.sentence = kind, sentence

    def of(self, name: object) -> str:
        return of_file(self.sentence, name)


def of_file(sentence: str, name: object) -> str:
    """The sentence with a file's name for its {}."""
    return sentence.replace("{}", printable(name), 1)


@dataclass(frozen=True)
class Facts:
    """What a picture file is: size in pixels the right way up, hash of its bytes, and remarks as (kind, sentence with
    {} for its name).
    """

    width: int
    height: int
    content: str
    has_alpha: bool
    notes: tuple[tuple[str, str], ...]
    appearance: Appearance | None = None


def examine(path: Path, appearance: bool = False) -> Facts:
    """`Facts` of a file that was decoded to its last byte; Unreadable otherwise. appearance: add what it looks like."""
    data = read_bytes(path)
    image = opened(data)
    size, turn = image.size, orientation(image)
    notes = tuple(remarks(image, path))
    drafted(image, EXAMINED_SIDE)  # still every byte is read
    decoded(image, data)
    check_sums(image.format, data)
    flat, alpha = split(upright(image, turn))
    if alpha is not None:
        notes += (("transparent", "{} is transparent in places; those are shown on white."),)
    if turn > 4:
        size = size[1], size[0]
    return Facts(*size, fingerprint(data), alpha is not None, notes, appearance_of(flat) if appearance else None)


def load(path: Path, content: str | None = None) -> tuple[Image.Image, Image.Image | None]:
    """(RGB image, alpha as an "L" image or None), the right way up.

    Unreadable if the file can't be read, or if it no longer is the one that `examine` gave that `content` for.
    """
    data = read_bytes(path)
    if content not in (None, fingerprint(data)):
        raise Unreadable("changed", "{} was changed after it had been looked at.")
    image = opened(data)
    turn = orientation(image)
    return split(upright(decoded(image, data), turn))


def fingerprint(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def read_bytes(path: Path) -> bytes:
    """A file's bytes; Unreadable if it is empty, too large or can't be opened."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Unreadable("unreadable", f"{{}} can't be opened ({system_reason(error)}).") from error
    if not data:
        raise Unreadable("empty", "{} is an empty file of 0 bytes; remove it or save it again.")
    if len(data) > MAX_FILE_BYTES:
        raise Unreadable("too large", f"{{}} is larger than {MAX_FILE_BYTES >> 20} MB; scale it down first.")
    return data


def opened(data: bytes) -> Image.Image:
    """The picture with only its header read, of an accepted kind and size."""
    try:
        image = header(BytesIO(data), accepted())
    except Image.DecompressionBombError as error:
        raise bomb() from error
    except Exception as error:  # codecs raise anything on hostile bytes
        if not complete(promised(data), data):
            raise truncated() from error
        raise Unreadable("not a picture", f"{{}} is not a picture that can be read ({guess(data)}); "
                                          "save it again as PNG or JPEG, or remove it.") from error
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise bomb(image.size)
    if pixels > LARGE and pixels > MOST_PER_BYTE * len(data):
        raise Unreadable(
            "too large",
            f"{{}} has {pixels // 10**6} million pixels in {len(data):,} bytes, so there is hardly "
            "anything in it; scale it down first.",
        )
    return image


def bomb(size: tuple[int, int] | None = None) -> Unreadable:
    most = MAX_PIXELS // 10**6
    if size is None:
        sentence = f"{{}} has hundreds of millions of pixels, more than {most} million; scale it down first."
    else:
        sentence = f"{{}} has {size[0]} × {size[1]} pixels, more than {most} million; scale it down first."
    return Unreadable("too large", sentence)


def truncated() -> Unreadable:
    return Unreadable("truncated", "{} is truncated: its end is missing; download or save it again, or remove it.")


def remarks(image: Image.Image, path: Path) -> Iterator[tuple[str, str]]:
    """(kind, sentence with {} for its name) of everything about a good picture that its owner may want to know."""
    suffix = path.suffix.lower()
    kind = "JPEG" if image.format == "MPO" else image.format
    if (SUFFIXES | PLUGGED_IN).get(suffix) != kind:
        yield "wrong extension", (f"{{}} is a {kind} that is called {suffix}; it is read all the same." if suffix else
                                  f"{{}} is a {kind} without an ending; it is read all the same.")
    if image.format != "MPO" and getattr(image, "is_animated", False):
        yield "animated", "{} is animated; only its first frame is used."
    if image.mode == "CMYK":
        yield "CMYK", "{} has print colours (CMYK); they are converted and may look different."
    if orientation(image) > 1:
        yield "rotated", "{} is rotated by its EXIF data; it is turned upright."
    if colours.has_no_fixed_white(image):
        yield "32 bit", ("{} has 32 bits a pixel, without a fixed number for white; they are reduced to 8 by the "
                         "largest of them.")
    elif image.mode[0] == "I":
        yield "16 bit", "{} has 16 bits a pixel; they are reduced to 8."
    if (profile := colours.remark(image)) is not None:
        yield profile


def orientation(image: Image.Image) -> int:
    """EXIF's number, 1 to 8; 1 for anything odd."""
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF data is no reason to lose the picture
        return 1
    return turn if turn in range(1, 9) else 1


def decoded(image: Image.Image, data: bytes) -> Image.Image:
    """The picture with its pixels read; Unreadable where they are damaged or their end is missing."""
    try:
        if ImageFile.LOAD_TRUNCATED_IMAGES and not complete(image.format, data):  # a host may have set it
            raise OSError("truncated")
        image.load()
    except MemoryError as error:
        raise Unreadable("too large", "{} is too large for this machine's memory; scale it down first.") from error
    except Exception as error:
        if "truncat" in str(error).lower() or not complete(image.format, data):
            raise truncated() from error
        raise Unreadable("damaged", f"{{}} is damaged ({str(error)[:80]}); save it again or remove it.") from error
    return image


def drafted(image: Image.Image, long: int) -> None:
    """Let a JPEG be decoded at a half, a quarter or an eighth of its size, if its long side keeps `long` pixels."""
    share = long / max(image.size)
    if share < 1:
        width, height = (max(1, math.floor(side * share)) for side in image.size)
        image.draft("RGB", (width, height))


def check_sums(kind: str | None, data: bytes) -> None:
    """A PNG carries checksums that Pillow skips when it decodes; without them, flipped bits pass as colours."""
    if kind != "PNG":
        return
    try:
        opened(data).verify()
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable("damaged", f"{{}} is damaged ({str(error)[:80]}); save it again or remove it.") from error


def complete(kind: str | None, data: bytes) -> bool:
    """Whether the end mark is there, for kinds that have one."""
    if kind == "PNG":
        return data.rfind(b"IEND") >= 0
    if kind in ("JPEG", "MPO"):
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    if kind == "WEBP":
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    return True


def upright(image: Image.Image, turn: int) -> Image.Image:
    """8-bit sRGB, with an alpha channel if there may be transparency, turned as EXIF says."""
    image = colours.to_srgb(image)
    return image.transpose(TURNS[turn]) if turn in TURNS else image


def split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """(RGB on white, alpha or None): alpha is None when nothing is transparent."""
    if image.mode != "RGBA":
        return image, None
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return image.convert("RGB"), None
    flat = Image.new("RGB", image.size, WHITE)
    flat.paste(image, mask=alpha)
    return flat, alpha
