"""A trained file copied under another name, by which it then calls itself inside too."""

import json
import shutil
import struct
from pathlib import Path

from lib_sdtune.evaluation.journal import Journal
from lib_sdtune.formats import pickled
from lib_sdtune.formats.files import atomic


def copy_as(source: Path, final: Path, name: str) -> None:
    """A copy of the file that calls itself `name` inside too; its tensors are untouched."""
    if source.suffix == ".safetensors":
        copy_with_title(source, final, name)
    elif source.suffix == ".pt":
        data = pickled.read(source)
        if isinstance(data, dict) and "name" in data:
            pickled.write(final, data | {"name": name})
        else:
            copy(source, final)
    else:
        copy(source, final)


def copy_config(journal: Journal, source: Path, final: Path) -> None:
    """The .yaml by which the WebUI knows what kind of checkpoint it is."""
    if source.with_suffix(".yaml").exists():
        journal.creates(final.with_suffix(".yaml"))
        copy(source.with_suffix(".yaml"), final.with_suffix(".yaml"))


def copy(source: Path, final: Path) -> None:
    with atomic(final) as unfinished:
        shutil.copyfile(source, unfinished)


def copy_with_title(source: Path, final: Path, name: str) -> None:
    with open(source, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        facts = header.get("__metadata__", {})
        facts |= {key: name for key in ("ss_output_name", "modelspec.title") if key in facts}
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        with atomic(final) as unfinished, open(unfinished, "wb") as output:
            output.write(struct.pack("<Q", len(text)) + text)
            shutil.copyfileobj(file, output, 1 << 20)
