"""What is background in a picture, and painting it."""

import numpy as np
from PIL import Image, ImageFilter

from lib_sdtune.data.plain_background import colour_of
from lib_sdtune.data.prepare.settings import PrepareConfig


def cut_out(image: Image.Image, settings: PrepareConfig) -> tuple[Image.Image, str]:
    """(RGBA image, what was done in words): the alpha channel says what is subject.

    The image comes back opaque, with no words, where no background is found.
    """
    transparent = image.mode == "RGBA" and image.getchannel("A").getextrema()[0] != 255
    if transparent or settings.cut_out == "alpha":
        return image.convert("RGBA"), "cut out by its transparency" if transparent else ""
    if settings.cut_out == "rembg":
        import rembg

        return rembg.remove(image.convert("RGB")).convert("RGBA"), "cut out by rembg"
    flat = image.convert("RGB")
    smooth = flat.filter(ImageFilter.MedianFilter(3))  # grain would leave islands
    outside = flooded(np.asarray(smooth), settings.tolerance)
    if outside is None:
        return flat.convert("RGBA"), ""
    alpha = Image.fromarray(np.where(outside, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.8))
    flat.putalpha(alpha)
    return flat, "cut out of its plain background"


def flooded(pixels: np.ndarray, tolerance: int) -> np.ndarray | None:
    """(h, w) bool: the region of the border's colour that touches the border; None if the border is not plain.

    pixels: (h, w, 3) uint8. Water runs along rows and columns in turn, a whole run of alike pixels at a time, until
    nothing changes; a dozen rounds are enough for all but mazes.
    """
    colour = colour_of(pixels, tolerance)
    if colour is None:
        return None
    alike = np.abs(pixels.astype(np.int16) - colour).max(2) <= tolerance
    wet = np.zeros_like(alike)
    wet[0], wet[-1], wet[:, 0], wet[:, -1] = alike[0], alike[-1], alike[:, 0], alike[:, -1]
    while True:
        spread = run_along(run_along(wet, alike).T, alike.T).T
        if (spread == wet).all():
            return wet
        wet = spread


def run_along(wet: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Wet every run of alike pixels in a row that is wet anywhere."""
    starts = alike & ~np.pad(alike, ((0, 0), (1, 0)))[:, :-1]
    runs = np.cumsum(starts.ravel()).reshape(alike.shape) * alike
    reached = np.zeros(runs.max() + 1, bool)
    reached[runs[wet]] = True
    reached[0] = False
    return reached[runs]


def painted(image: Image.Image, colour: tuple[int, ...]) -> Image.Image:
    """RGB: the image on a plain colour."""
    flat = Image.new("RGB", image.size, colour)
    flat.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return flat
