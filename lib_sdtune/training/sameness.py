"""Whether a resumed run still learns from the pictures and words that it began with."""

import logging
from hashlib import blake2b

from lib_sdtune.errors import UserError

log = logging.getLogger("sdtune")


def of(scan):
    """What a state keeps of a `Scan`: how many pictures, and what they and their words were."""
    pictures = [(picture.content, picture.repeats, picture.is_class, picture.concept) for picture in scan.pictures]
    words = [[picture.caption for picture in scan.pictures], sorted(scan.templates.items())]
    return {"count": len(pictures), "pictures": digest(pictures), "words": digest(words)}


def digest(value):
    return blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def compare(before, now):
    """UserError when the pictures are others, because every later step would learn from others; other words are only told."""
    if before["pictures"] != now["pictures"]:
        raise UserError(f"The pictures are not those that the run began with ({before['count']} then, {now['count']} now, or other ones), "
                        "so it cannot be resumed. Put them back, or start under another name.")
    if before["words"] != now["words"]:
        log.warning("captions have changed since the run began; it goes on with the new ones")
