"""Any picture's colours as 8-bit sRGB, which is what models were trained on and what a page shows.

Numbers alone are no colours: (220, 40, 40) of a phone's Display P3 is (241, 0, 10) in sRGB. A profile inside the file
says what its numbers mean; LittleCMS, behind Pillow's ImageCms, converts them.
"""

from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from lib_sdtune.sentences import phrase

try:
    from PIL import ImageCms
except ImportError:
    ImageCms = None  # type: ignore[assignment]

SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # a profile's name of its colours -> Pillow's mode
NEAR = 3  # of 255: a profile that changes no colour by more is sRGB under another name
WHITES = (1, 2**8 - 1, 2**16 - 1, 2**24 - 1, 2**31 - 1, 2**32 - 1)  # what programs write for it in 32 bits
DARKEST = 8  # times: the brightest spot of a picture is hardly darker than white by more
SAMPLE_FORMAT, BITS_PER_SAMPLE = 339, 258  # TIFF's tags
NOCACHE = 0x0040  # of LittleCMS: a transform may then be used by several threads


class NoTransform(Exception):
    """Why colours are taken as they are, as the second half of a sentence."""


def to_srgb(image: Image.Image) -> Image.Image:
    """RGB, or RGBA if there may be transparency, of a decoded picture in any mode; without its profile."""
    profile = image.info.get("icc_profile")
    colours, alpha = separated(image)
    try:
        transform = transform_of(profile, colours.mode) if profile else None
    except NoTransform:
        transform = None
    if transform:
        result = transform.apply(colours.convert(transform.input_mode))
    else:
        result = colours if colours.mode == "RGB" else colours.convert("RGB")
    result.info = {}
    if alpha is not None:
        result.putalpha(alpha)
    return result


def remark(image: Image.Image) -> tuple[str, str] | None:
    """(kind, sentence with {} for the file's name) about a picture's profile, if it has one that matters."""
    profile = image.info.get("icc_profile")
    if not profile:
        return None
    try:
        mode = "L" if image.mode[0] in "IFL1" else "CMYK" if image.mode == "CMYK" else "RGB"
        if transform_of(profile, mode):
            return "colour profile", f"{{}} has the colour profile {name_of(profile)}; it is converted to sRGB."
    except NoTransform as error:
        return "colour profile", f"{{}} has a colour profile that {error}; its colours are taken as sRGB."
    return None


def separated(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """(the colours as L, RGB or CMYK; the alpha channel, if there may be transparency)."""
    if image.mode[0] in "IF":
        return eight_bit_grey(image)
    transparent = "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa", "RGBA")
    if transparent:
        full = image if image.mode == "RGBA" else image.convert("RGBA")
        return (full.convert("L") if image.mode in ("LA", "La", "L") else full.convert("RGB")), full.getchannel("A")
    if image.mode in ("L", "RGB", "CMYK"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def eight_bit_grey(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Greys of 16 bits or more, or fractions, which Pillow would cut off at 255; one of them may be transparent."""
    values = np.asarray(image)
    if has_no_fixed_white(image):
        grey = Image.fromarray(by_their_range(values.view(np.uint32) if is_unsigned(image) else values))
    else:
        grey = Image.fromarray((values.astype(np.float32) / 257).clip(0, 255).round().astype(np.uint8))
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return grey, None
    return grey, Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))


def has_no_fixed_white(image: Image.Image) -> bool:
    """Whether no format says which number is white: of fractions, and of the whole numbers of 32 bits in a TIFF."""
    return image.mode == "F" or image.mode == "I" and image.format == "TIFF"


def is_unsigned(image: Image.Image) -> bool:
    """Whether a TIFF's whole numbers of 32 bits begin at 0; Pillow has all of them as signed ones."""
    tags = getattr(image, "tag_v2", {})
    return image.mode == "I" and tags.get(SAMPLE_FORMAT, (1,)) == (1,) and tags.get(BITS_PER_SAMPLE) == (32,)


def by_their_range(values: np.ndarray) -> np.ndarray:
    """Greys as 8 bits: white is the usual number that is next to the largest of them, or that one itself where it is
    far from any.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    largest = float(finite.max()) if finite.size else 1.0
    black = min(0.0, float(finite.min())) if finite.size and values.dtype.kind == "i" else 0.0
    white = next((usual for usual in WHITES if largest <= usual), largest)
    if black < 0 or (white > 1 and largest < white / DARKEST):
        white = largest
    scaled = (np.nan_to_num(values.astype(np.float64), nan=0.0) - black) * (255 / ((white - black) or 1.0))
    return scaled.clip(0, 255).round().astype(np.uint8)


@lru_cache(maxsize=32)
def transform_of(profile: bytes, mode: str) -> Any:
    """The transform of a profile's colours to sRGB; None if they are sRGB already. NoTransform where there can't be
    one.
    """
    if ImageCms is None:
        raise NoTransform(phrase("can't be read, because the Pillow here has no colour management"))
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = SPACES.get(source.profile.xcolor_space)
        if space not in (mode, "RGB" if mode == "L" else mode):  # greys are colours too
            raise NoTransform(phrase(f"is made for other colours ({source.profile.xcolor_space.strip()})"))
        mode = space
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB",
                                            ImageCms.Intent.PERCEPTUAL,
                                            NOCACHE)  # type: ignore[arg-type]  # Pillow 9 knows numbers only
        samples = cube().convert(mode)
        before, after = (np.asarray(picture).astype(int)
                         for picture in (samples.convert("RGB"), transform.apply(samples)))
    except NoTransform:
        raise
    except Exception as error:  # ImageCms raises its own kinds, and OSError, on damaged profiles
        raise NoTransform(phrase("can't be read")) from error
    return transform if mode == "CMYK" or np.abs(after - before).max() > NEAR else None


@lru_cache(maxsize=1)
def cube() -> Image.Image:
    """Colours from all over RGB, 9 steps each way."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), -1).reshape(27, 27, 3))


def name_of(profile: bytes) -> str:
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile))).strip()
    except Exception:
        name = ""
    return " ".join(name.split())[:60] or "of no name"
