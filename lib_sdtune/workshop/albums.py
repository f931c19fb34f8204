"""Which folders' captions are being edited, each in one `Album`: a page that is loaded again finds its changes."""

import secrets
import threading

from lib_sdtune.data.captions import EXTENSIONS
from lib_sdtune.errors import UserError
from lib_sdtune.workshop.album import Album
from lib_sdtune.workshop.questions import flag, known, text

MOST = 8  # albums kept; the oldest without unsaved changes goes first


class Albums:
    def __init__(self, jobs):
        self.jobs, self.open, self.changing = jobs, {}, threading.Lock()

    def enter(self, data):
        """Open {"images", "extension", "again"}; the album as it is shown first. again: read the files anew, dropping what is not saved."""
        known(data, "images", "extension", "again")
        again, extension = flag(data, "again"), text(data, "extension", ".txt") or ".txt"
        if extension not in EXTENSIONS:
            raise UserError(f'"extension" can be: {", ".join(EXTENSIONS)}; not {extension!r}.')
        folder = self.jobs.access.folder(data.get("images"), "images")
        with self.changing:
            there = next((name for name, one in self.open.items() if one.key == (folder.resolve(), extension)), None)
            if there and (self.open[there].busy or not again and self.open[there].captions.changed()):
                return self.open[there].view({}) | {"id": there, "kept": True}
            fresh = Album(self.jobs, folder, extension)
            self.open.pop(there, None)
            name = secrets.token_hex(4)
            self.open[name] = fresh
            self.make_room()
        return fresh.view({}) | {"id": name, "kept": False}

    def make_room(self):
        idle = [name for name, one in list(self.open.items())[:-1] if not one.busy and not one.captions.changed()]
        for name in idle[: max(0, len(self.open) - MOST)]:
            del self.open[name]

    def __getitem__(self, name):
        """The album of an id; KeyError if it is not open (any more)."""
        return self.open[name]
