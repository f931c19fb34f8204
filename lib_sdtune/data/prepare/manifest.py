"""What was made from which original, so that the work can be repeated, continued and trusted.

`manifest.json` in the output folder: for every original its content and the settings it was prepared with, and for every
file made from it a hash. A file whose hash differs was changed by its owner and is left alone.
"""

import hashlib
import json

from lib_sdtune.errors import UserError
from lib_sdtune.formats.files import read_json, write_json

NAME = "manifest.json"
FORMAT = "sd-tune-prepare-1"


class Manifest:
    """originals: {relative: {"content", "settings", "stem", "did", "described", "files", "captions"}}, where did is {file: [what was
    done]}, described what a captioner said, files and captions {file: hash}."""

    def __init__(self, folder):
        self.folder, self.path = folder, folder / NAME
        self.originals, self.settings = {}, {}
        if self.path.exists():
            self.read()
        self.hashes = {file: made for one in self.originals.values() for file, made in (one["files"] | one["captions"]).items()}
        self.saved = self.text()

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
        self.originals[name] = entry
        self.hashes |= entry["files"] | entry["captions"]

    def text(self):
        return json.dumps([self.originals, self.settings], sort_keys=True)

    def save(self):
        """Write it if anything is different."""
        now = self.text()
        if now != self.saved or not self.path.exists():
            write_json(self.path, {"format": FORMAT, "settings": self.settings, "originals": dict(sorted(self.originals.items()))})
            self.saved = now


def fingerprint(data):
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def fingerprint_of(path):
    """The hash of a file, None if it isn't there."""
    try:
        return fingerprint(path.read_bytes())
    except FileNotFoundError:
        return None
