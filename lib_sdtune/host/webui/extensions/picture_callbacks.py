"""Callbacks that the WebUI calls while a picture is drawn: other extensions' act as the user's last picture told them.

Our pictures run no scripts, so nothing switches such a callback off or takes back what it did. They are drawn without.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from modules import script_callbacks

from lib_sdtune.host.webui.extensions.ownership import extension_of
from lib_sdtune.swap import replaced

CATEGORIES = ("cfg_denoiser", "cfg_denoised", "cfg_after_cfg", "extra_noise", "before_image_saved", "image_saved",
              "image_grid")


def owners() -> list[str]:
    """The folders of the extensions that have a say in pictures."""
    tables = script_callbacks.callback_map
    files = {entry.script for category in CATEGORIES for entry in tables.get(f"callbacks_{category}", ())}
    return sorted({name for file in files if (name := extension_of(file))})


@contextmanager
def put_aside() -> Iterator[None]:
    """In this thread alone: what the page is doing meanwhile goes on as ever."""
    all_callbacks, drawing_thread = script_callbacks.ordered_callbacks, threading.get_ident()

    def ordered_callbacks(*args, **kwargs):
        callbacks = all_callbacks(*args, **kwargs)
        if threading.get_ident() != drawing_thread:
            return callbacks
        return [entry for entry in callbacks if not extension_of(entry.script)]

    with replaced(script_callbacks, "ordered_callbacks", ordered_callbacks):
        yield
