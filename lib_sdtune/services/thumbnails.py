"""Small copies of pictures, kept in memory: nothing is written beside anybody's pictures for looking at them."""

import base64
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 192  # pixels
LARGE_SIDE = 1024
MAX_THUMBNAILS = 400  # thumbnails, of about 10 kB


class ThumbnailCache:
    """The latest thumbnails, as long as their pictures do not change."""

    def __init__(self) -> None:
        self.thumbnails: OrderedDict[tuple[Path, int], bytes] = OrderedDict()

    def get(self, path: Path, large: bool = False) -> bytes | None:
        """JPEG bytes of a picture file, at most `SIDE` pixels long; None if it can't be read.

        large: at most `LARGE_SIDE` pixels instead, and not kept in memory.
        """
        from lib_sdtune.data.picture import Unreadable, load

        try:
            if large:
                return jpeg(load(path)[0], LARGE_SIDE)
            key = path, path.stat().st_mtime_ns
            if key not in self.thumbnails:
                self.thumbnails[key] = jpeg(load(path)[0], SIDE)
        except (Unreadable, OSError):
            return None
        self.thumbnails.move_to_end(key)
        while len(self.thumbnails) > MAX_THUMBNAILS:
            self.thumbnails.popitem(last=False)
        return self.thumbnails[key]


def jpeg(image: "Image", side: int) -> bytes:
    """JPEG bytes of an RGB image, at most `side` pixels long."""
    small, out = image.convert("RGB"), BytesIO()
    small.thumbnail((side, side))
    small.save(out, "JPEG", quality=85)
    return out.getvalue()


def data_address(image: "Image", side: int) -> str:
    """The same as a data: address."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(image, side)).decode()
