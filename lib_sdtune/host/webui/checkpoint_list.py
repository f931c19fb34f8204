"""Looking into the WebUI's list of checkpoints, which each refresh empties and fills again while others read it.

A look in between finds nothing, or by a part of the name another checkpoint; so whoever needs a certain one looks
again, and never takes what happens to be in the list first.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from modules import sd_models

from lib_sdtune.formats.paths import is_file

PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds before each look; reading a folder of some hundred files takes less."""


def of_file(path: str | Path) -> Any | None:
    """The WebUI's entry for a checkpoint's file (a whole path), also one written since it looked last; else None."""
    path = Path(path)
    if not path.is_absolute() or not is_file(path):
        return None
    entry = in_list(path)
    if entry is None:
        sd_models.list_models()
    return entry or looked_up(lambda: in_list(path))


def in_list(path: Path) -> Any | None:
    for entry in list(sd_models.checkpoints_list.values()):
        if Path(entry.filename).resolve() == path.resolve():
            return entry
    return None


def of_name(name: str) -> Any | None:
    """The same by title, hash, or name; a part of a name counts only while the list is not being read anew."""
    entry = sd_models.checkpoint_aliases.get(name)
    if entry is None:
        before = list(sd_models.checkpoints_list)
        entry = sd_models.get_closet_checkpoint_match(name)
        if entry is None or not before or list(sd_models.checkpoints_list) != before:
            entry = looked_up(lambda: sd_models.get_closet_checkpoint_match(name), PAUSES[:3])
    return entry


def selected() -> Any:
    """The entry of the WebUI's drop-down. FileNotFoundError if there are no checkpoints at all."""
    from modules import shared

    entry = looked_up(lambda: sd_models.checkpoint_aliases.get(shared.opts.sd_model_checkpoint))
    return entry or sd_models.select_checkpoint()


def looked_up(look_up: Callable[[], Any], pauses: Sequence[float] = PAUSES) -> Any | None:
    """What `look_up()` gives, asked again for a while; None if it never gives anything."""
    for pause in pauses:
        time.sleep(pause)
        with suppress(RuntimeError, FileNotFoundError):  # "dictionary changed size during iteration"
            entry = look_up()
            if entry is not None:
                return entry
    return None
