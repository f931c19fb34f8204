"""Small copies of pictures, kept in memory: nothing is written beside anybody's pictures for looking at them."""

import base64
from collections import OrderedDict
from io import BytesIO

SIDE = 192  # pixels
KEPT = 400  # of about 10 kB


class Shelf:
    def __init__(self):
        self.made = OrderedDict()

    def of(self, path):
        """JPEG bytes of a picture file; None if it can't be read."""
        from lib_sdtune.data.picture import Unreadable, load

        try:
            key = path, path.stat().st_mtime_ns
            if key not in self.made:
                self.made[key] = jpeg(load(path)[0], SIDE)
        except (Unreadable, OSError):
            return None
        self.made.move_to_end(key)
        while len(self.made) > KEPT:
            self.made.popitem(last=False)
        return self.made[key]


def jpeg(image, side):
    """JPEG bytes of an RGB image, at most `side` pixels long."""
    small, out = image.convert("RGB"), BytesIO()
    small.thumbnail((side, side))
    small.save(out, "JPEG", quality=85)
    return out.getvalue()


def address(image, side):
    """The same as a data: address."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(image, side)).decode()
