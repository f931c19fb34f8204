"""Which files are pictures: by their endings where those are known, by their first bytes where not."""

import threading
import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from lib_sdtune.sentences import phrase

SUFFIXES = {".png": "PNG", ".apng": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG",
            ".jif": "JPEG", ".pjpeg": "JPEG", ".pjp": "JPEG", ".mpo": "JPEG", ".webp": "WEBP", ".bmp": "BMP",
            ".gif": "GIF", ".avif": "AVIF", ".jxl": "JXL", ".tif": "TIFF", ".tiff": "TIFF",
            ".jp2": "JPEG2000", ".jpf": "JPEG2000", ".ppm": "PPM", ".pgm": "PPM", ".pnm": "PPM", ".qoi": "QOI",
            ".tga": "TGA", ".dds": "DDS"}
PLUGGED_IN = {".heic": "HEIF", ".heif": "HEIF"}  # pictures where somebody taught Pillow to read them
# shown, but no pictures to learn
UNREAD = {".psd", ".svg", ".ico", ".icns", ".pdf", ".eps", ".ai", ".kra", ".xcf", ".clip", ".raw", ".dng", ".cr2",
          ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".mp4", ".mov", ".webm", ".avi", ".mkv"}
USUAL = "png jpg jpeg webp bmp gif avif jxl tif"  # for sentences
NAMELESS = ("TGA",)  # kinds that nothing in the file announces
DRAWING, PAGE = phrase("an SVG drawing"), phrase("a web page")
MARKS = {b"\x89PNG": "a damaged PNG", b"\xff\xd8\xff": "a damaged JPEG", b"GIF8": "a damaged GIF",
         b"RIFF": "a damaged WebP", b"II*\0": "a damaged TIFF", b"MM\0*": "a damaged TIFF",
         b"8BPS": phrase("a Photoshop file"), b"%PDF": phrase("a PDF"), b"PK\3\4": phrase("a ZIP archive"),
         b"<svg": DRAWING, b"<?xml": DRAWING, b"<!DO": PAGE, b"<htm": PAGE}

_opening = threading.Lock()  # the warnings filter is the whole process's


def caption_ending(extension: str) -> str:
    """The ending of caption files as settings may write it, with its dot and in lower case; "" where none is named."""
    extension = extension.strip().lower()
    return extension if extension.startswith(".") or not extension else f".{extension}"


def accepted() -> list[str]:
    """The kinds that are opened, by Pillow's names: none whose reader starts other programs."""
    Image.init()
    return [kind for kind in {*SUFFIXES.values(), *PLUGGED_IN.values(), "MPO"} if kind in Image.OPEN]


def is_picture(path: Path) -> bool:
    """Whether a file counts as a picture, readable or not. A file with an unknown ending does if its content says
    so.
    """
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    if suffix in PLUGGED_IN:
        return PLUGGED_IN[suffix] in accepted()
    return suffix not in UNREAD and opens(path)


def opens(path: Path) -> bool:
    """Whether a file begins as a picture does."""
    try:
        header(path, [kind for kind in accepted() if kind not in NAMELESS]).close()
    except Image.DecompressionBombError:
        return True  # one that is too large, which will be said
    except Exception:  # readers raise anything on what they can't read
        return False
    return True


def header(file: Path | BinaryIO, kinds: list[str]) -> Image.Image:
    """`Image.open` without its warnings: the picture with only its header read."""
    with _opening, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(file, formats=kinds)


def promised(data: bytes) -> str:
    """The kind that the first bytes announce, of those that have an end mark."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG"}.get(data[: 3 if data[:1] == b"\xff" else 4], "")


def guess(data: bytes) -> str:
    """What a file that is no picture seems to be."""
    if data[4:8] == b"ftyp":
        return unsupported("AVIF") if b"avif" in data[:32] else phrase("a HEIC photo or a film")
    if data[:12] == b"\0\0\0\x0cJXL \r\n\x87\n" or data[:2] == b"\xff\x0a":
        return unsupported("JXL")
    return next((name for start, name in MARKS.items() if data.startswith(start)),
                phrase("its content is of an unknown kind"))


def unsupported(kind: str) -> str:
    name = {"AVIF": "AVIF", "JXL": "JPEG XL"}[kind]
    if kind in Image.OPEN:
        return phrase(f"a damaged {name}")
    article = "an" if kind == "AVIF" else "a"
    return phrase(f"{article} {name}, which the Pillow here does not know")
