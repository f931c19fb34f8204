"""What a killed process leaves and nobody can use: `NAME.tmp` of files that it was writing, beside their place, and the
weights that DreamBooth had set aside.
"""

import re
import shutil
import time
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from lib_sdtune.artefacts.artefact_files import SIDECARS
from lib_sdtune.formats.kinds import KINDS

ENDING = ".tmp"
WRITTEN = {*SIDECARS, *(ending for kind in KINDS.values() for ending in (*kind.endings, *kind.pictures))}
"""Endings of what a run writes into the host's folders."""
OLD = 3600.0  # seconds; the cache is shared by runs, and an entry of one that is on is written within moments


def sweep(run_folder: Path, file_folders: Iterable[Path], name: str) -> None:
    """Remove what an earlier try at the run left: in its own folder, beside its files, and, if old, in the cache.

    Call it while the run folder is this process's own.
    """
    shutil.rmtree(run_folder / "aside", ignore_errors=True)  # of a model that went with its process
    paths = [*run_folder.rglob(f"*{ENDING}")]
    other_runs = {path.name for path in run_folder.parent.iterdir()} - {run_folder.name}
    for folder in file_folders:
        paths += of_run(folder, name, other_runs)
    paths += old(run_folder.parent.parent / "cache")
    for path in paths:
        with suppress(OSError):
            path.unlink()


def of_run(folder: Path, name: str, other_runs: Container[str] = ()) -> Iterator[Path]:
    """NAME.safetensors.tmp, NAME-000002.safetensors.tmp, NAME.preview.png.tmp and so on, and no other run's: names of
    runs may have dots and numbers in them too.
    """
    endings = "|".join(map(re.escape, sorted(WRITTEN)))
    pattern = re.compile(rf"({re.escape(name)}(-\d{{6,}}|-step\d{{8,}})?)({endings}){re.escape(ENDING)}")
    for path in folder.glob(f"*{ENDING}"):
        if (match := pattern.fullmatch(path.name)) and match[1] not in other_runs:
            yield path


def old(cache: Path) -> Iterator[Path]:
    for path in cache.glob(f"*/*/*{ENDING}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > OLD:
                yield path
