"""What the WebUI has beside its model and some forks have thrown out."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from PIL.Image import Image

from lib_sdtune.errors import UserError
from lib_sdtune.host.webui.lock import QueueLock


def interrogator(name: str, options: Any, lock: QueueLock,
                 on_wait: Callable[[], None]) -> AbstractContextManager[Callable[[Image], str]]:
    """As `interrogating.interrogator`. UserError where there are none."""
    try:
        from lib_sdtune.host.webui import interrogating
    except ImportError as error:
        raise UserError("This WebUI has no interrogators any more; write captions by another captioner, or by "
                        "hand.") from error
    return interrogating.interrogator(name, options, lock, on_wait)


def image_encoder() -> Any | None:
    """The WebUI's CLIP for pictures, where it and its weights are there."""
    try:
        from lib_sdtune.host.webui import clip
    except ImportError:
        return None
    return clip.encoder()
