"""What was made from which original, so that the work can be repeated, continued and trusted.

`manifest.json` in the output folder: for every original its content and the settings it was prepared with, and for
every file made from it a hash. A file whose hash differs was changed by its owner and is left alone.
"""

import json
import time
from pathlib import Path

from lib_sdtune.data.picture import fingerprint
from lib_sdtune.errors import UserError
from lib_sdtune.formats.files import read_json, write_text

NAME = "manifest.json"
FORMAT = "sd-tune-prepare-1"
PAUSE = 20  # times as long as a writing took


class Manifest:
    """originals: {relative: {"content", "settings", "stem", "did", "described", "files", "captions"}}.

    did: {file: [what was done]}. described: what a captioner said. files, captions: {file: hash}.
    UserError for a file that is no manifest of ours.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / NAME
        self.originals: dict[str, dict] = {}
        self.settings: dict = {}
        if self.path.exists():
            self.read()
        self.hashes: dict[str, str] = {}
        for entry in self.originals.values():
            self.hashes |= entry["files"] | entry["captions"]
        self.stale, self.before, self.written, self.seconds = False, self.settings, 0.0, 0.0

    def read(self) -> None:
        try:
            data = read_json(self.path)
            if data["format"] != FORMAT:
                raise ValueError("not ours")
            self.originals, self.settings = data["originals"], data["settings"]
            for entry in self.originals.values():
                _ = [entry[key] for key in ("content", "settings", "stem", "did", "described")]
                _ = entry["files"] | entry["captions"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{self.path} is not a manifest of this program or is damaged; "
                            "choose another output folder or move it away.") from error

    def entry(self, name: str) -> dict:
        """What is noted of an original."""
        nothing = {"content": "", "settings": "", "stem": "", "did": {}, "described": "", "files": {}, "captions": {}}
        return self.originals.get(name, nothing)

    def boxes(self) -> dict[str, list[float]]:
        """{name: crop drawn by hand} of what was prepared before."""
        return {name: entry["box"] for name, entry in self.originals.items() if entry.get("box")}

    def note(self, name: str, entry: dict) -> None:
        if entry != self.originals.get(name):
            self.originals[name], self.stale = entry, True
        self.hashes |= entry["files"] | entry["captions"]

    def save(self, hurry: bool = True) -> None:
        """Write it if anything is different; without hurry only now and then, to keep it a small part of the work."""
        due = hurry or time.monotonic() - self.written >= PAUSE * self.seconds
        if self.path.exists() and not (self.stale or self.settings != self.before) or not due:
            return
        began = time.monotonic()
        write_text(self.path, self.text())
        self.stale, self.before, self.written = False, self.settings, time.monotonic()
        self.seconds = self.written - began

    def text(self) -> str:
        """JSON with a line for each original: quick to write, and easy to compare."""
        lines = ",\n".join(f"  {dumps(name)}: {dumps(entry)}" for name, entry in sorted(self.originals.items()))
        head = f' "format": {dumps(FORMAT)},\n "settings": {dumps(self.settings)},\n'
        return f'{{\n{head} "originals": {{\n{lines}\n }}\n}}\n'


def dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def fingerprint_of(path: Path) -> str | None:
    """The hash of a file, None if it isn't there."""
    try:
        return fingerprint(path.read_bytes())
    except FileNotFoundError:
        return None
