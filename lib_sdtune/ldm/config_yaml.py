"""The one .yaml beside a checkpoint: its own, and never one that an earlier file of its name has left there."""

import json
import logging
from pathlib import Path

from lib_sdtune.formats.files import atomic, replace_when_free

log = logging.getLogger("sdtune")


def lay(path: Path, text: bytes | None) -> None:
    """Write the .yaml of the checkpoint at `path`, or none for None. One that another file of that name has left is
    removed where it is ours, and is put aside, and named, where it may be the user's.
    """
    target = path.with_suffix(".yaml")
    before = target.read_bytes() if target.is_file() else None
    if before == text:
        return
    if before is not None and not is_ours(before):
        put_aside(target)
    if text is None:
        target.unlink(missing_ok=True)
        return
    with atomic(target) as unfinished:
        unfinished.write_bytes(text)


def written(config: dict) -> bytes:
    """A config as we write it."""
    return (json.dumps(config, indent=1) + "\n").encode()


def is_ours(text: bytes) -> bool:
    """Whether a .yaml is one that we have made: JSON in our very layout."""
    try:
        return text.replace(b"\r\n", b"\n") == written(json.loads(text))
    except ValueError:
        return False


def put_aside(target: Path) -> None:
    names = (f"{target.name}{number}.bak" for number in ("", *(f".{n}" for n in range(2, 1000))))
    aside = next(path for name in names if not (path := target.with_name(name)).exists())
    replace_when_free(target, aside)
    log.warning("%s described the checkpoint that was replaced, or another one, and is now %s: beside the new one it "
                "would have the WebUI load it wrongly.", target, aside.name)
