"""Which folders' captions are being edited, each in one `CaptionEditor`: a page loaded again finds its changes."""

import secrets
import threading
from typing import TYPE_CHECKING, Any

from lib_sdtune.data.problem import printable
from lib_sdtune.errors import NotFound, UserError
from lib_sdtune.services.context import ServiceContext
from lib_sdtune.services.fields import flag, refuse_unknown, text

if TYPE_CHECKING:
    from lib_sdtune.services.caption_editor import CaptionEditor

MAX_EDITORS = 8  # editors kept; the oldest without unsaved changes goes first


class CaptionSessions:
    """editors: {id: CaptionEditor}, in the order in which they were opened."""

    def __init__(self, context: ServiceContext) -> None:
        self.context, self.lock = context, threading.Lock()
        self.editors: dict[str, CaptionEditor] = {}

    def open(self, data: dict) -> dict[str, Any]:
        """Open {"images", "extension", "again"}; its first page, under one id for all pages that show this folder.

        Its files are read anew, unless there are changes that are not saved or a task writes them: then "kept" is true.
        again: drop such changes.
        """
        from lib_sdtune.data.captions import EXTENSIONS
        from lib_sdtune.services.caption_editor import CaptionEditor

        refuse_unknown(data, "images", "extension", "again")
        again, extension = flag(data, "again"), text(data, "extension", ".txt") or ".txt"
        if extension not in EXTENSIONS:
            raise UserError(f'"extension" can be: {", ".join(EXTENSIONS)}; not {extension!r}.')
        folder = self.context.access.folder(data.get("images"), "images")
        with self.lock:
            key = folder.resolve(), extension
            name = next((name for name, editor in self.editors.items() if editor.key == key), "")
            if not name:
                name = secrets.token_hex(4)
                self.editors[name] = CaptionEditor(self.context, folder, extension)
                self.close_idle()
                keeps_changes = False
            else:
                keeps_changes = not self.editors[name].reload(drop_changes=again)
        return self.page(name, {}) | {"id": name, "kept": keeps_changes}

    def page(self, name: str, data: dict) -> dict[str, Any]:
        """A page of one folder, and in which others there are changes that are not saved."""
        elsewhere = [{"folder": printable(editor.captions.root), "extension": editor.key[1], "changed": len(changed)}
                     for session_id, editor in list(self.editors.items())
                     if session_id != name and (changed := editor.captions.changed())]
        return self.get(name).page(data) | {"unsaved_elsewhere": elsewhere}

    def close_idle(self) -> None:
        """Close the oldest editors without unsaved changes, but for the latest, where there are too many."""
        idle = [name for name, editor in list(self.editors.items())[:-1]
                if not editor.busy and not editor.captions.changed()]
        for name in idle[: max(0, len(self.editors) - MAX_EDITORS)]:
            del self.editors[name]

    def get(self, name: str) -> "CaptionEditor":
        """The editor of an id; NotFound if it is not open (any more)."""
        if name not in self.editors:
            raise NotFound("These captions are not open any more; load the folder again.")
        return self.editors[name]
