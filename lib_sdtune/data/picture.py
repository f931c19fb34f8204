"""One picture file: what it is, whether it can be read, and its pixels as the encoder wants them.

Whatever the file holds (palette, alpha, CMYK, 16 bit, rotated by EXIF, animated), it comes out as 8-bit RGB the right
way up, with transparency shown on white. Only the kinds in `SUFFIXES` are opened, and none before its size is known.
"""

import hashlib
import math
import threading
import warnings
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from PIL import Image, ImageFile

LARGEST = 128_000_000  # pixels: four bytes each are what a modest machine can spare
LARGEST_FILE = 1 << 30  # bytes
LOOKED_AT = 512  # pixels of the long side that are enough for a look
SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".gif": "GIF", ".avif": "AVIF", ".jxl": "JXL"}
WHITE = (255, 255, 255)
GAP = 3.0  # a picture far too large is first halved, or the like, by means: the result differs by less than one grey in 255
TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
         5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90}
ORIENTATION = 0x0112

_opening = threading.Lock()  # the warnings filter below is the whole process's


class Unreadable(Exception):
    """Why a picture cannot be used, as the second half of a sentence: "is truncated; ...". `kind` is one word for it."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class Facts:
    """What `examine` found: size in pixels the right way up, hash of the file's bytes, and remarks as (kind, half sentence)."""

    width: int
    height: int
    content: str
    has_alpha: bool
    notes: tuple
    seen: object = None


def examine(path, look=None):
    """`Facts` of a file that was decoded to its last byte; Unreadable otherwise.

    `look(image)` may take a closer look at the decoded picture (RGB, possibly reduced in size); its answer is `.seen`.
    """
    data = read_bytes(path)
    image = opened(data)
    size, turn = image.size, orientation(image)
    notes = tuple(remarks(image, path))
    drafted(image, LOOKED_AT)  # still every byte is read
    decoded(image, data)
    check_sums(image.format, data)
    flat, alpha = split(upright(image, turn))
    if alpha is not None:
        notes += (("transparent", "is transparent in places; those are shown on white"),)
    if turn > 4:
        size = size[1], size[0]
    return Facts(*size, fingerprint(data), alpha is not None, notes, look(flat) if look else None)


def load(path, content=None):
    """(RGB image, alpha as an "L" image or None), the right way up.

    Unreadable if the file can't be read (any more), or if it no longer is the one that `examine` gave that `content` for.
    """
    data = read_bytes(path)
    if content not in (None, fingerprint(data)):
        raise Unreadable("changed", "was changed after it had been looked at; start again")
    image = opened(data)
    turn = orientation(image)
    return split(upright(decoded(image, data), turn))


def fingerprint(data):
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def read_bytes(path):
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise Unreadable("unreadable", f"can't be opened ({error.strerror or error})") from error
    if not data:
        raise Unreadable("empty", "is an empty file of 0 bytes; remove it or save it again")
    if len(data) > LARGEST_FILE:
        raise Unreadable("too large", f"is larger than {LARGEST_FILE >> 20} MB; scale it down first")
    return data


def opened(data):
    """The picture with only its header read, of an accepted kind and size."""
    Image.init()
    kinds = [kind for kind in {*SUFFIXES.values(), "MPO"} if kind in Image.OPEN]
    try:
        with _opening, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(BytesIO(data), formats=kinds)
    except Image.DecompressionBombError as error:
        raise bomb() from error
    except Exception as error:  # codecs raise anything on hostile bytes
        if not complete(promised(data), data):
            raise truncated() from error
        raise Unreadable("not a picture", f"is not a picture that can be read ({guess(data)}); "
                                          "save it again as PNG or JPEG, or remove it") from error
    if image.width * image.height > LARGEST:
        raise bomb(image.size)
    return image


def bomb(size=None):
    shown = f"{size[0]} x {size[1]} pixels" if size else "hundreds of millions of pixels"
    return Unreadable("too large", f"has {shown}, more than {LARGEST // 10**6} million; scale it down first")


def truncated():
    return Unreadable("truncated", "is truncated: its end is missing; download or save it again, or remove it")


def promised(data):
    """The kind that the first bytes announce, of those that have an end mark."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG"}.get(data[: 3 if data[:1] == b"\xff" else 4], "")


MARKS = {b"\x89PNG": "a damaged PNG", b"\xff\xd8\xff": "a damaged JPEG", b"GIF8": "a damaged GIF", b"RIFF": "a damaged WebP",
         b"II*\0": "a TIFF", b"MM\0*": "a TIFF", b"8BPS": "a Photoshop file", b"%PDF": "a PDF", b"PK\3\4": "a ZIP archive",
         b"<svg": "an SVG drawing", b"<?xml": "an SVG drawing", b"<!DO": "a web page", b"<htm": "a web page"}


def guess(data):
    """What a file that is no picture seems to be."""
    if data[4:8] == b"ftyp":
        return unsupported("AVIF") if b"avif" in data[:32] else "a HEIC photo or a film"
    if data[:12] == b"\0\0\0\x0cJXL \r\n\x87\n" or data[:2] == b"\xff\x0a":
        return unsupported("JXL")
    return next((name for mark, name in MARKS.items() if data.startswith(mark)), "its content is of an unknown kind")


def unsupported(kind):
    name = {"AVIF": "AVIF", "JXL": "JPEG XL"}[kind]
    if kind in Image.OPEN:
        return f"a damaged {name}"
    return f"{'an' if kind == 'AVIF' else 'a'} {name}, which the Pillow here does not know"


def remarks(image, path):
    """(kind, half sentence) of everything about a good picture that its owner may want to know."""
    suffix = path.suffix.lower()
    true = "JPEG" if image.format == "MPO" else image.format
    if SUFFIXES.get(suffix) != true:
        yield "wrong extension", f"is a {true} that is called {suffix}; it is read all the same"
    if image.format != "MPO" and getattr(image, "is_animated", False):
        yield "animated", "is animated; only its first frame is used"
    if image.mode == "CMYK":
        yield "CMYK", "has print colours (CMYK); they are converted and may look different"
    if orientation(image) > 1:
        yield "rotated", "is rotated by its EXIF data; it is turned upright"
    if image.mode[0] == "I":
        yield "16 bit", "has 16 bits a pixel; they are reduced to 8"


def orientation(image):
    """EXIF's number, 1 to 8; 1 for anything odd."""
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF data is no reason to lose the picture
        return 1
    return turn if turn in range(1, 9) else 1


def decoded(image, data):
    try:
        if ImageFile.LOAD_TRUNCATED_IMAGES and not complete(image.format, data):  # a host may have set it
            raise OSError("truncated")
        image.load()
    except MemoryError as error:
        raise Unreadable("too large", "is too large for this machine's memory; scale it down first") from error
    except Exception as error:
        if "truncat" in str(error).lower() or not complete(image.format, data):
            raise truncated() from error
        raise Unreadable("damaged", f"is damaged ({str(error)[:80]}); save it again or remove it") from error
    return image


def drafted(image, long):
    """Let a JPEG be decoded at a half, a quarter or an eighth of its size if its long side keeps `long` pixels: as much less work."""
    share = long / max(image.size)
    if share < 1:
        image.draft("RGB", tuple(max(1, math.floor(side * share)) for side in image.size))


def check_sums(kind, data):
    """A PNG carries checksums that Pillow skips when it decodes; without them, flipped bits pass as colours."""
    if kind != "PNG":
        return
    try:
        opened(data).verify()
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable("damaged", f"is damaged ({str(error)[:80]}); save it again or remove it") from error


def complete(kind, data):
    """Whether the end mark is there, for kinds that have one."""
    if kind == "PNG":
        return data.rfind(b"IEND") >= 0
    if kind in ("JPEG", "MPO"):
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    if kind == "WEBP":
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    return True


def upright(image, turn):
    """8-bit RGB or RGBA, turned as EXIF says."""
    image = plain(image)
    return image.transpose(TURNS[turn]) if turn in TURNS else image


def plain(image):
    if image.mode[0] in "IF":  # 16-bit grey: Pillow would cut it off at 255
        grey = np.asarray(image).astype(np.float32) / 257
        return Image.fromarray(grey.clip(0, 255).round().astype(np.uint8)).convert("RGB")
    if image.mode in ("RGB", "RGBA") and "transparency" not in image.info:
        return image
    transparent = "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa")
    return image.convert("RGBA" if transparent else "RGB")


def split(image):
    """(RGB on white, alpha or None): alpha is None when nothing is transparent."""
    if image.mode != "RGBA":
        return image, None
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return image.convert("RGB"), None
    flat = Image.new("RGB", image.size, WHITE)
    flat.paste(image, mask=alpha)
    return flat, alpha


def frame(image, example, resample=Image.Resampling.LANCZOS):
    """The part of the picture that the example asks for: scaled, cropped to the bucket, mirrored."""
    image = cut(image, example.scaled, example.crop, example.size, resample)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if example.flip else image


def cut(image, scaled, crop, size, resample=Image.Resampling.LANCZOS):
    """`size` pixels from (left, top) = `crop` on of the picture scaled to `scaled`.

    Only that part is computed, so a picture of 1 x 100,000 pixels costs no more than another.
    """
    left, top = crop
    right, bottom = left + size[0], top + size[1]
    if image.size == tuple(scaled):
        return image.crop((left, top, right, bottom))
    across, down = image.width / scaled[0], image.height / scaled[1]
    part = left * across, top * down, min(right * across, image.width), min(bottom * down, image.height)
    return image.resize(size, resample, box=part, reducing_gap=GAP)


def pixels(image, example):
    """(3, height, width) float32 in -1..1 of an RGB image."""
    values = np.array(frame(image, example), dtype=np.uint8)
    return torch.from_numpy(values).permute(2, 0, 1).contiguous().float() / 127.5 - 1


def mask(alpha, example, downscale=8):
    """(1, height / 8, width / 8) float32 in 0..1: how opaque each latent is. All ones without alpha, or if nothing is opaque."""
    width, height = example.size[0] // downscale, example.size[1] // downscale
    if alpha is None:
        return torch.ones(1, height, width)
    small = frame(alpha, example).resize((width, height), Image.Resampling.BOX)
    values = torch.from_numpy(np.array(small, dtype=np.float32) / 255)[None]
    return values if values.sum() > 0 else torch.ones_like(values)
