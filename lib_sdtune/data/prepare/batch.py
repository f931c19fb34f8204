"""Files written some dozens at a time: beside their places, then safe on the disk, then in place, then in the manifest.

A power cut at any moment leaves whole files only, and the disk is waited for once per batch instead of twice per file.
"""

from collections.abc import Iterable
from pathlib import Path

from lib_sdtune.data.picture import fingerprint
from lib_sdtune.data.prepare.manifest import Manifest, fingerprint_of
from lib_sdtune.data.prepare.outcome import Outcome
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.formats.files import disk_errors, replace_when_free, sync, sync_folder

FULL = 50  # originals: what a power cut may cost


class Batch:
    """`write` and `drop` what one original gives, then `note` it; nothing is in place before `commit`.

    outcome: what files and problems are noted in.
    """

    def __init__(self, manifest: Manifest, outcome: Outcome) -> None:
        self.manifest, self.outcome, self.folder = manifest, outcome, manifest.folder
        self.begin()
        self.originals: list[tuple[str, dict, dict[str, Path], dict[str, str]]] = []

    def begin(self) -> None:
        self.written: dict[str, Path] = {}
        self.dropped: dict[str, str] = {}

    def write(self, file: str, data: bytes) -> str:
        """Write a file unless its owner changed it; the hash that it counts as made with."""
        path = self.folder / file
        if path.is_dir():
            self.leave(path, f"{printable(file)} is a folder, so no file of that name is made. Rename it to have one.")
            return ""
        new_hash, disk_hash, manifest_hash = fingerprint(data), fingerprint_of(path), self.manifest.hashes.get(file)
        if disk_hash == new_hash:
            self.outcome.unchanged.append(file)
        elif disk_hash is None or disk_hash == manifest_hash:
            with disk_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self.written[file] = path.with_name(path.name + ".tmp")
                self.written[file].write_bytes(data)
        else:
            name = printable(file)
            self.leave(path, f"{name} was changed after it was prepared; it is left alone. Remove it to have it made "
                             "again." if manifest_hash else
                       f"{name} was there before; it is left alone. Remove it to have it made again.")
            return manifest_hash or ""
        return new_hash

    def leave(self, path: Path, sentence: str) -> None:
        self.outcome.problems.append(Problem(path, sentence, False, "left alone"))

    def drop(self, files: Iterable[str], hashes: dict[str, str]) -> None:
        """Remove what earlier settings made and these don't, unless its owner changed it."""
        self.dropped |= {file: hashes[file] for file in files}

    def note(self, name: str, entry: dict) -> None:
        """An original is through; `entry` is what the manifest will know of it."""
        self.originals.append((name, entry, self.written, self.dropped))
        self.begin()
        if len(self.originals) >= FULL:
            self.commit()

    def commit(self, hurry: bool = False) -> None:
        """Put in place and note what was written; what belongs to an original that was not noted is forgotten.

        hurry: nothing comes after it, so the manifest is written in any case.
        """
        folders: set[Path] = set()
        try:
            for _, _, written, _ in self.originals:
                for path in written.values():
                    with disk_errors(path):
                        sync(path)
            while self.originals:
                folders |= self.settle(*self.originals[0])
                self.originals.pop(0)
        finally:
            unfinished = [written for *_, written, _ in self.originals] + [self.written]
            for path in [path for written in unfinished for path in written.values()]:
                path.unlink(missing_ok=True)
            self.originals = []
            self.begin()
            for folder in folders:
                sync_folder(folder)
            self.manifest.save(hurry)

    def settle(self, name: str, entry: dict, written: dict[str, Path], dropped: dict[str, str]) -> set[Path]:
        """The folders that changed."""
        for file, unfinished in written.items():
            with disk_errors(self.folder / file):
                replace_when_free(unfinished, self.folder / file)
            self.outcome.written.append(file)
        for file, manifest_hash in sorted(dropped.items()):
            if fingerprint_of(self.folder / file) == manifest_hash:
                (self.folder / file).unlink()
                self.outcome.removed.append(file)
        self.manifest.note(name, entry)
        return {(self.folder / file).parent for file in [*written, *dropped]}
