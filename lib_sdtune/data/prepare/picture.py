"""One picture prepared: a function of its pixels and the settings."""

from io import BytesIO

from PIL import Image

from lib_sdtune.data.picture import WHITE, split
from lib_sdtune.data.pixels import cut
from lib_sdtune.data.prepare import background, crop
from lib_sdtune.data.prepare.settings import FORMATS, colour

FAST = 1  # of zlib: four times as fast as its default for photographs, and a seventh larger


def enough(settings, box, width, height):
    """Pixels of the long side from which a picture of that size can be made without loss: twice what is kept. None: all of them."""
    if box is not None or settings.resize in ("none", "multiple"):
        return None
    if settings.split and crop.tiles(width, height, settings.split_over):
        return None
    return 2 * max(crop.place(width, height, settings).scaled)


def made(image, settings, box=None, size=None):
    """[(suffix of the name, image, what was done in words)] of one upright RGB or RGBA image.

    box: a crop drawn by hand. size: the picture's own, where `image` is a smaller copy (see `enough`).
    """
    did, size = [], size or image.size
    if box is not None:
        image = image.crop(crop.drawn(box, image.size))
        size = image.size
        did.append("cropped by hand")
    pieces = crop.tiles(*size, settings.split_over) if settings.split and box is None else None
    if not pieces:
        return copies("", image, settings, did, size)
    return [one for number, piece in enumerate(map(image.crop, pieces), 1)
            for one in copies(f"-{number}", piece, settings, [*did, f"piece {number} of {len(pieces)}"], piece.size)]


def copies(suffix, image, settings, did, size):
    image, said = grounded(image, settings)
    did = did + [said] if said else did
    image, fitted = fit(image, settings, size)
    did = did + [fitted] if fitted else did
    straight = (suffix, image, did)
    if not settings.flip:
        return [straight]
    return [straight, (f"{suffix}-flip", image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), [*did, "mirrored"])]


def grounded(image, settings):
    """The picture on its new background, and what was done; transparent only if that is to stay."""
    if not settings.background and not settings.alpha:
        flat, alpha = split(image)
        return flat, "shown on white" if alpha else ""
    image, said = background.cut_out(image, settings)
    if image.getchannel("A").getextrema()[0] == 255:
        return image.convert("RGB"), "background not found" if settings.cut_out == "border" else ""
    paint = colour(settings.background) if settings.background else WHITE
    flat = background.painted(image, paint)
    if settings.background:
        said += f", background {settings.background}"
    if settings.alpha:
        flat.putalpha(image.getchannel("A"))
        said += ", mask kept"
    return flat, said


def fit(image, settings, size):
    """Scaled and cropped as the settings ask of a picture of that size."""
    where = crop.place(*size, settings)
    if where.size == image.size == where.scaled:
        return image, ""
    corner = crop.offset(image, where, settings.crop)
    result = cut(image.convert("RGB"), where.scaled, corner, where.size)
    if image.mode == "RGBA":  # colour and mask apart, or colour would be taken from where there is none
        result.putalpha(cut(image.getchannel("A"), where.scaled, corner, where.size))
    said = f"{size[0]}x{size[1]} to {where.size[0]}x{where.size[1]}"
    return result, f"{said}, cropped at {corner[0]},{corner[1]}" if where.scaled == image.size else said


def encoded(image, settings):
    """The bytes of the file."""
    out = BytesIO()
    options = {"png": {"compress_level": FAST}, "jpg": {"quality": settings.quality, "subsampling": 0},
               "webp": {"quality": settings.quality}}
    image.save(out, FORMATS[settings.format], **options[settings.format])
    return out.getvalue()
