"""One picture prepared: a function of its pixels and the settings."""

from io import BytesIO

from PIL import Image

from lib_sdtune.data.picture import WHITE, cut, split
from lib_sdtune.data.prepare import background, crop
from lib_sdtune.data.prepare.settings import FORMATS, colour


def made(image, settings, box=None):
    """[(suffix of the name, image, what was done in words)] of one upright RGB or RGBA image. box: a crop drawn by hand."""
    did = []
    if box is not None:
        image = image.crop(crop.drawn(box, image.size))
        did.append("cropped by hand")
    pieces = crop.tiles(*image.size, settings.split_over) if settings.split and box is None else None
    if not pieces:
        return copies("", image, settings, did)
    return [one for number, piece in enumerate(pieces, 1)
            for one in copies(f"-{number}", image.crop(piece), settings, [*did, f"piece {number} of {len(pieces)}"])]


def copies(suffix, image, settings, did):
    image, said = grounded(image, settings)
    did = did + [said] if said else did
    image, fitted = fit(image, settings)
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


def fit(image, settings):
    """Scaled and cropped as the settings ask."""
    where = crop.place(*image.size, settings)
    if where.size == image.size == where.scaled:
        return image, ""
    corner = crop.offset(image, where, settings.crop)
    result = cut(image.convert("RGB"), where.scaled, corner, where.size)
    if image.mode == "RGBA":  # colour and mask apart, or colour would be taken from where there is none
        result.putalpha(cut(image.getchannel("A"), where.scaled, corner, where.size))
    said = f"{image.width}x{image.height} to {where.size[0]}x{where.size[1]}"
    return result, f"{said}, cropped at {corner[0]},{corner[1]}" if where.scaled == image.size else said


def encoded(image, settings):
    """The bytes of the file."""
    out = BytesIO()
    options = {"png": {}, "jpg": {"quality": settings.quality, "subsampling": 0}, "webp": {"quality": settings.quality}}[settings.format]
    image.save(out, FORMATS[settings.format], **options)
    return out.getvalue()
