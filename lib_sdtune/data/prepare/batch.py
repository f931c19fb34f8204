"""Files written some dozens at a time: beside their places, then safe on the disk, then in place, then in the manifest.

A power cut at any moment leaves whole files only, and the disk is waited for once per batch instead of twice per file.
"""

from lib_sdtune.data.picture import fingerprint
from lib_sdtune.data.prepare.manifest import fingerprint_of
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.formats.files import sync, sync_folder, told

FULL = 50  # originals: what a power cut may cost


class Batch:
    """`write` and `drop` what one original gives, then `note` it; nothing is in place before `commit`."""

    def __init__(self, manifest, outcome):
        self.manifest, self.outcome, self.folder = manifest, outcome, manifest.folder
        self.begin()
        self.originals = []

    def begin(self):
        self.written, self.dropped = {}, {}

    def write(self, file, data):
        """Write a file unless its owner changed it; the hash that it counts as made with."""
        path = self.folder / file
        wanted, there, made = fingerprint(data), fingerprint_of(path), self.manifest.hashes.get(file)
        if there == wanted:
            self.outcome.kept.append(file)
        elif there is None or there == made:
            with told(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self.written[file] = path.with_name(path.name + ".tmp")
                self.written[file].write_bytes(data)
        else:
            why = "was changed after it was prepared" if made else "was there before"
            self.outcome.problems.append(Problem(path, f"{printable(file)} {why}; it is left alone. Remove it to have it made again.",
                                                 False, "left alone"))
            return made or ""
        return wanted

    def drop(self, files, made):
        """Remove what earlier settings made and these don't, unless its owner changed it."""
        self.dropped |= {file: made[file] for file in files}

    def note(self, name, entry):
        """An original is through; `entry` is what the manifest will know of it."""
        self.originals.append((name, entry, self.written, self.dropped))
        self.begin()
        if len(self.originals) >= FULL:
            self.commit()

    def commit(self, hurry=False):
        """Put in place and note what was written; what belongs to an original that was not noted is forgotten.

        hurry: nothing comes after it, so the manifest is written in any case.
        """
        folders = set()
        try:
            for _, _, written, _ in self.originals:
                for path in written.values():
                    with told(path):
                        sync(path)
            while self.originals:
                folders |= self.settle(*self.originals[0])
                self.originals.pop(0)
        finally:
            for path in [path for *_, written, _ in self.originals for path in written.values()] + list(self.written.values()):
                path.unlink(missing_ok=True)
            self.originals = []
            self.begin()
            for folder in folders:
                sync_folder(folder)
            self.manifest.save(hurry)

    def settle(self, name, entry, written, dropped):
        """The folders that changed."""
        for file, unfinished in written.items():
            with told(self.folder / file):
                unfinished.replace(self.folder / file)
            self.outcome.made.append(file)
        for file, made in sorted(dropped.items()):
            if fingerprint_of(self.folder / file) == made:
                (self.folder / file).unlink()
                self.outcome.removed.append(file)
        self.manifest.note(name, entry)
        return {(self.folder / file).parent for file in [*written, *dropped]}
