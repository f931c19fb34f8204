"""What was made from which original, so that the work can be repeated, continued and trusted.

`manifest.json` in the output folder: for every original its content and the settings it was prepared with, and for every
file made from it a hash. A file whose hash differs was changed by its owner and is left alone.
"""

import hashlib
import json
import time

from lib_sdtune.errors import UserError
from lib_sdtune.formats.files import read_json, write_text

NAME = "manifest.json"
FORMAT = "sd-tune-prepare-1"
REST = 20  # times as long as a writing took


class Manifest:
    """originals: {relative: {"content", "settings", "stem", "did", "described", "files", "captions"}}, where did is {file: [what was
    done]}, described what a captioner said, files and captions {file: hash}."""

    def __init__(self, folder):
        self.folder, self.path = folder, folder / NAME
        self.originals, self.settings = {}, {}
        if self.path.exists():
            self.read()
        self.hashes = {file: made for one in self.originals.values() for file, made in (one["files"] | one["captions"]).items()}
        self.stale, self.before, self.written, self.took = False, self.settings, 0.0, 0.0

    def read(self):
        try:
            data = read_json(self.path)
            if data["format"] != FORMAT:
                raise ValueError("not ours")
            self.originals, self.settings = data["originals"], data["settings"]
            for one in self.originals.values():
                one["content"], one["settings"], one["stem"], one["did"], one["described"], one["files"] | one["captions"]  # noqa: B018
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{self.path} is not a manifest of this program or is damaged; "
                            "choose another output folder or move it away.") from error

    def of(self, name):
        """What is known of an original."""
        nothing = {"content": "", "settings": "", "stem": "", "did": {}, "described": "", "files": {}, "captions": {}}
        return self.originals.get(name, nothing)

    def boxes(self):
        """{name: crop drawn by hand} of what was prepared before."""
        return {name: one["box"] for name, one in self.originals.items() if one.get("box")}

    def note(self, name, entry):
        if entry != self.originals.get(name):
            self.originals[name], self.stale = entry, True
        self.hashes |= entry["files"] | entry["captions"]

    def save(self, hurry=True):
        """Write it if anything is different; without hurry only now and then, so that writing stays a small part of the work."""
        rested = time.monotonic() - self.written >= REST * self.took
        if self.path.exists() and not (self.stale or self.settings != self.before) or not (hurry or rested):
            return
        began = time.monotonic()
        write_text(self.path, self.text())
        self.stale, self.before, self.written = False, self.settings, time.monotonic()
        self.took = self.written - began

    def text(self):
        """JSON with a line for each original: quick to write, and easy to compare."""
        lines = ",\n".join(f"  {dumps(name)}: {dumps(entry)}" for name, entry in sorted(self.originals.items()))
        return f'{{\n "format": {dumps(FORMAT)},\n "settings": {dumps(self.settings)},\n "originals": {{\n{lines}\n }}\n}}\n'


def dumps(value):
    return json.dumps(value, ensure_ascii=False)


def fingerprint(data):
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def fingerprint_of(path):
    """The hash of a file, None if it isn't there."""
    try:
        return fingerprint(path.read_bytes())
    except FileNotFoundError:
        return None
