"""One picture prepared: a function of its pixels and the settings."""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

from PIL import Image

from lib_sdtune.data.buckets import Size
from lib_sdtune.data.masks import MARK
from lib_sdtune.data.picture import WHITE, split
from lib_sdtune.data.pixels import cut
from lib_sdtune.data.prepare import background, crop
from lib_sdtune.data.prepare.settings import FORMATS, PrepareConfig, colour

FAST = 1  # of zlib: four times as fast as its default for photographs, and a seventh larger
Piece = tuple[str, Image.Image, list[str]]  # (suffix of the name, image, what was done in words)


def needed_side(settings: PrepareConfig, box: Sequence[float] | None, width: int, height: int) -> int | None:
    """Pixels of the long side from which a picture of that size can be prepared without loss; None: all of them.

    They are twice what the prepared picture has.
    """
    if box is not None or settings.resize in ("none", "multiple"):
        return None
    if settings.split and crop.tiles(width, height, settings.split_over):
        return None
    return 2 * max(crop.fit(width, height, settings).scaled)


def pieces(image: Image.Image, settings: PrepareConfig, box: Sequence[float] | None = None,
           size: Size | None = None) -> list[Piece]:
    """What one upright RGB or RGBA image gives.

    box: a crop drawn by hand. size: the picture's own, where `image` is a smaller copy (see `needed_side`).
    """
    steps, size = [], size or image.size
    if box is not None:
        image = image.crop(crop.drawn(box, image.size))
        size = image.size
        steps.append("cropped by hand")
    tiles = crop.tiles(*size, settings.split_over) if settings.split and box is None else None
    if not tiles:
        return copies("", image, settings, steps, size)
    return [piece for number, tile in enumerate(map(image.crop, tiles), 1)
            for piece in copies(f"-{number}", tile, settings, [*steps, f"piece {number} of {len(tiles)}"], tile.size)]


def copies(suffix: str, image: Image.Image, settings: PrepareConfig, steps: list[str], size: Size) -> list[Piece]:
    """The picture on its background and in its size, and mirrored if the settings ask for that too."""
    image, step = on_background(image, settings)
    steps = steps + [step] if step else steps
    image, step = fitted(image, settings, size)
    steps = steps + [step] if step else steps
    straight = (suffix, image, steps)
    if not settings.flip:
        return [straight]
    return [straight, (f"{suffix}-flip", image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), [*steps, "mirrored"])]


def on_background(image: Image.Image, settings: PrepareConfig) -> tuple[Image.Image, str]:
    """The picture on its new background, and what was done; transparent only if that is to stay."""
    if not (settings.background or settings.alpha or settings.masks):
        flat, alpha = split(image)
        return flat, "shown on white" if alpha else ""
    original = image
    image, step = background.cut_out(image, settings)
    if image.getchannel("A").getextrema()[0] == 255:
        if settings.cut_out == "alpha":
            return split(original)[0], "background not found: nothing is transparent" if settings.masks else ""
        return split(original)[0], "background not found" if settings.cut_out == "border" or settings.masks else ""
    paint = colour(settings.background) if settings.background else WHITE
    stays = settings.masks and not settings.background
    flat = split(original)[0] if stays else background.painted(image, paint)
    if settings.background:
        step += f", background {settings.background}"
    if settings.alpha or settings.masks:
        flat.putalpha(image.getchannel("A"))
        step += ", mask kept"
    return flat, step


def fitted(image: Image.Image, settings: PrepareConfig, size: Size) -> tuple[Image.Image, str]:
    """Scaled and cropped as the settings ask of a picture of that size, and what was done."""
    fit = crop.fit(*size, settings)
    if fit.size == image.size == fit.scaled:
        return image, ""
    corner = crop.offset(image, fit, settings.crop)
    result = cut(image.convert("RGB"), fit.scaled, corner, fit.size)
    if image.mode == "RGBA":  # colour and mask apart, or colour would be taken from where there is none
        result.putalpha(cut(image.getchannel("A"), fit.scaled, corner, fit.size))
    step = f"{size[0]}x{size[1]} to {fit.size[0]}x{fit.size[1]}"
    return result, f"{step}, cropped at {corner[0]},{corner[1]}" if fit.scaled == image.size else step


def files(name: str, image: Image.Image, steps: list[str],
          settings: PrepareConfig) -> list[tuple[str, bytes, list[str]]]:
    """(file name, bytes, steps) of a prepared picture, and of its mask where the settings ask for one."""
    if not settings.masks or image.mode != "RGBA":
        return [(f"{name}.{settings.format}", encoded(image, settings), steps)]
    shown = image if settings.alpha else image.convert("RGB")
    mask = encoded(image.getchannel("A"), replace(settings, format="png"))
    return [(f"{name}.{settings.format}", encoded(shown, settings), steps), (f"{name}{MARK}.png", mask, steps)]


def encoded(image: Image.Image, settings: PrepareConfig) -> bytes:
    """The bytes of the file."""
    out = BytesIO()
    options: dict[str, dict[str, int]] = {
        "png": {"compress_level": FAST}, "jpg": {"quality": settings.quality, "subsampling": 0},
        "webp": {"quality": settings.quality}}
    image.save(out, FORMATS[settings.format], **options[settings.format])
    return out.getvalue()
