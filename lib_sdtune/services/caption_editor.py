"""The captions of one folder as a page edits them: what is shown, what an edit would do, what is written when asked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lib_sdtune.data.caption_editing import PRUNING, Captions
from lib_sdtune.data.problem import printable
from lib_sdtune.errors import UserError
from lib_sdtune.progress import Progress
from lib_sdtune.services import caption_edits
from lib_sdtune.services.context import ServiceContext
from lib_sdtune.services.fields import flag, group, refuse_unknown, text, whole_number
from lib_sdtune.services.final_captions import final_captions
from lib_sdtune.services.task import Task, TaskService
from lib_sdtune.services.thumbnails import ThumbnailCache

PAGE = 24  # pictures
CLOUD = 120  # tags
EXAMPLES = 12  # captions of a preview


class CaptionEditor(TaskService):
    """Every change takes turns; while captions are being described or saved, nothing else changes them.

    names: of the pictures, as `Captions` has them; a picture's index is its place in there.
    purpose: what the latest task is for, "describe" or "save".
    """

    def __init__(self, context: ServiceContext, folder: Path, extension: str) -> None:
        super().__init__(context)
        self.folder, self.key = folder, (folder.resolve(), extension)
        self.lock, self.thumbnails, self.purpose = threading.RLock(), ThumbnailCache(), ""
        self.read()

    def read(self) -> None:
        self.captions = Captions(self.folder, self.key[1])
        self.names = list(self.captions.entries)
        self.indices = {name: index for index, name in enumerate(self.names)}

    def reload(self, drop_changes: bool) -> bool:
        """Read the files anew, unless a task writes them or there are changes to keep; whether that was done."""
        with self.lock:
            if self.busy or self.captions.changed() and not drop_changes:
                return False
            self.read()
            return True

    @property
    def busy(self) -> bool:
        return self.task is not None and self.task.live

    # looking

    def page(self, data: dict) -> dict[str, Any]:
        """One page of the pictures that pass a filter, {"query", "page"}, and what all captions have in common."""
        refuse_unknown(data, "query", "page")
        with self.lock:
            names = self.captions.select(text(data, "query"))
            pages = max(1, -(-len(names) // PAGE))
            page = min(whole_number(data, "page"), pages - 1)
            counts = self.captions.counts()
            missing = sum(not self.captions[name].strip() for name in self.names)
            return {"folder": printable(self.captions.root), "total": len(self.names), "found": len(names),
                    "page": page, "pages": pages,
                    "rows": [self.row(name) for name in names[page * PAGE : (page + 1) * PAGE]],
                    "tags": counts[:CLOUD], "kinds": len(counts), "missing": missing,
                    "changed": len(self.captions.changed()), "guessed": len(self.captions.guessed()),
                    "undo": self.captions.steps,
                    "problems": [problem.text for problem in self.captions.problems], **self.status()}

    def row(self, name: str) -> dict[str, Any]:
        """One picture. guess: the encoding of its caption file where that is one; cut: whether it can't be edited."""
        entry = self.captions.entries[name]
        return {"index": self.indices[name], "name": name, "caption": entry.caption,
                "changed": entry.caption != entry.original, "guess": entry.encoding if entry.is_guess else "",
                "cut": entry.is_cut}

    def status(self) -> dict[str, Any]:
        """{"work": the latest task}; `what` in it is its purpose, and a finished save has `written` and `problems`."""
        if self.task is None:
            return {"work": None}
        work = self.task.snapshot() | {"what": self.purpose}
        if self.purpose == "save" and self.task.result:
            written, problems = self.task.result
            work |= {"written": len(written), "problems": [problem.text for problem in problems]}
        return {"work": work}

    def thumbnail(self, index: str) -> bytes | None:
        """JPEG bytes of a small copy of a picture; None if there is none of that number."""
        if not index.isdecimal() or int(index) >= len(self.names):
            return None
        path = self.captions.entries[self.names[int(index)]].picture
        self.context.access.folder(str(path), "images")  # a link may have been changed meanwhile
        return self.thumbnails.get(path)

    def finals(self, data: dict) -> list[dict[str, Any]]:
        """Five captions as the trainer will see them."""
        with self.lock:
            return final_captions(self.captions, data, self.context.host, self.context.access)

    def common(self, data: dict) -> dict[str, Any]:
        """Tags that nearly every caption has, without the trigger word: {"tags", "why"}."""
        refuse_unknown(data, "trigger")
        with self.lock:
            return {"tags": self.captions.common(keep=text(data, "trigger")), "why": PRUNING}

    # changing

    def preview(self, data: dict) -> dict[str, Any]:
        """What an edit, {"do", "words", "new", "query"}, would do; see `summary`."""
        with self.lock:
            return self.summary(self.captions.preview(*self.edit_of(data)))

    def edit(self, data: dict) -> dict[str, int]:
        with self.changing():
            return {"count": self.captions.edit(*self.edit_of(data))}

    def edit_of(self, data: dict) -> tuple[Callable[[str], str], list[str]]:
        """The edit and the names of the pictures that it is for."""
        refuse_unknown(data, "do", "words", "new", "query")
        return caption_edits.edit(data), self.captions.select(text(data, "query"))

    def write(self, data: dict) -> dict[str, int]:
        """One caption typed by hand: {"name", "caption"}."""
        refuse_unknown(data, "name", "caption")
        with self.changing():
            return {"count": self.captions.update({text(data, "name"): text(data, "caption")})}

    def prune(self, data: dict) -> dict[str, Any]:
        """The trigger word to the front, {"trigger"}, and the tags {"tags"} out: one step.

        Nothing is done if "only_preview" is true.
        """
        refuse_unknown(data, "trigger", "tags", "only_preview")
        change = caption_edits.prune(text(data, "trigger"), text(data, "tags"))
        only_preview = flag(data, "only_preview")
        with self.lock:
            changes = self.captions.preview(change)
            if not only_preview:
                with self.changing():
                    self.captions.update({name: after for name, (_, after) in changes.items()})
        return self.summary(changes)

    def summary(self, changes: dict[str, tuple[str, str]]) -> dict[str, Any]:
        """{"count", "examples": [{"index", "name", "before", "after"}]} of {name: (before, after)}."""
        examples = [{"index": self.indices[name], "name": name, "before": before, "after": after}
                    for name, (before, after) in list(changes.items())[:EXAMPLES]]
        return {"count": len(changes), "examples": examples}

    def undo(self) -> dict[str, int]:
        with self.changing():
            return {"count": self.captions.undo()}

    def save(self, data: dict) -> dict[str, Any]:
        """Write what changed, in the background; in the end `status` says how it went.

        {"confirmed"}: whether somebody has seen that captions whose encoding is a guess were read right; without that
        they are not saved.
        """
        refuse_unknown(data, "confirmed")
        confirmed = flag(data, "confirmed")
        with self.changing():
            guessed = self.captions.guessed() if confirmed else []
            for name in self.captions.changed():
                self.context.access.folder(str(self.captions.entries[name].file), "images")
            self.start("save", "saving captions", lambda progress: self.captions.save(progress, guessed))
        return self.status()

    def start(self, purpose: str, text: str, function: Callable[[Progress], Any]) -> None:
        self.task, self.purpose = Task(text), purpose
        self.task.start(function)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The turn of whoever changes captions; refused while a task writes them."""
        with self.lock:
            self.refuse_a_second("Captions are being written; wait for it, or stop that first.")
            yield

    # describing

    def describe(self, data: dict) -> dict[str, Any]:
        """Have the pictures that pass {"query"} described by {"captioner"} with {"options"}.

        existing: what becomes of captions that are there, see `captioners.EXISTING`.
        """
        from lib_sdtune.data.captioners import EXISTING, describe_all, registry

        refuse_unknown(data, "captioner", "options", "existing", "query")
        existing = text(data, "existing", "keep")
        if existing not in EXISTING:
            raise UserError(f'"existing" can be: {", ".join(EXISTING)}; not {existing!r}.')
        captioner = registry[text(data, "captioner")](self.context.host, **group(data, "options"))
        captioner.refuse()
        with self.changing():
            names = self.captions.select(text(data, "query"))

            def describe(progress: Progress) -> Any:
                captioner.on_wait = lambda: progress(self.task.done, self.task.total, "waiting for the model")
                with captioner:
                    return describe_all(self.captions, captioner, names, existing, progress)

            self.start("describe", "loading the model", describe)
        return self.status()
