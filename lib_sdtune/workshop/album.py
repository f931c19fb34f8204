"""The captions of one folder as a page edits them: what is shown, what an edit would do, and what is written when asked."""

import threading
from contextlib import contextmanager

from lib_sdtune.data import tags
from lib_sdtune.data.editing import PRUNING, Captions
from lib_sdtune.data.problem import printable
from lib_sdtune.errors import UserError
from lib_sdtune.workshop import final, thumbnails
from lib_sdtune.workshop.edits import edit
from lib_sdtune.workshop.questions import group, known, text, whole
from lib_sdtune.workshop.work import Work

PAGE = 24  # pictures
CLOUD = 120  # tags
EXAMPLES = 12  # captions of a preview


class Album:
    """Every change takes turns; while captions are being described, nothing else changes them."""

    def __init__(self, jobs, folder, extension):
        self.jobs, self.captions, self.key = jobs, Captions(folder, extension), (folder.resolve(), extension)
        self.names = list(self.captions.entries)
        self.numbers = {name: number for number, name in enumerate(self.names)}
        self.turn, self.thumbnails = threading.RLock(), thumbnails.Shelf()
        self.work, self.what = None, ""

    @property
    def busy(self):
        return self.work is not None and self.work.live

    # looking

    def view(self, data):
        """One page of the pictures that pass a filter, {"query", "page"}, and what all captions have in common."""
        known(data, "query", "page")
        with self.turn:
            found = self.captions.select(text(data, "query"))
            pages = max(1, -(-len(found) // PAGE))
            page = min(whole(data, "page"), pages - 1)
            counts = self.captions.counts()
            return {"folder": printable(self.captions.root), "total": len(self.names), "found": len(found), "page": page, "pages": pages,
                    "rows": [self.row(name) for name in found[page * PAGE : (page + 1) * PAGE]],
                    "tags": counts[:CLOUD], "kinds": len(counts), "missing": sum(not self.captions[name].strip() for name in self.names),
                    "changed": len(self.captions.changed()), "undo": self.captions.steps,
                    "problems": [problem.text for problem in self.captions.problems], **self.look()}

    def row(self, name):
        one = self.captions.entries[name]
        return {"index": self.numbers[name], "name": name, "caption": one.caption, "changed": one.caption != one.original}

    def look(self):
        """How the describing or saving goes: {"work"}, its `what` "describe" or "save"; a finished save has `written` and `problems`."""
        if self.work is None:
            return {"work": None}
        seen = self.work.seen() | {"what": self.what}
        if self.what == "save" and self.work.result:
            written, problems = self.work.result
            seen |= {"written": len(written), "problems": [problem.text for problem in problems]}
        return {"work": seen}

    def thumbnail(self, index):
        """JPEG bytes of a small copy of a picture; None if there is none of that number."""
        name = self.names[int(index)] if index.isdecimal() and int(index) < len(self.names) else None
        if name is None:
            return None
        path = self.captions.entries[name].picture
        self.jobs.access.folder(str(path), "images")  # a link may have been changed meanwhile
        return self.thumbnails.of(path)

    def finals(self, data):
        """Five captions as the trainer will see them."""
        with self.turn:
            return final.captions(self.captions, data, self.jobs.host)

    def common(self, data):
        """Tags that nearly every caption has, without the trigger word: {"tags", "why"}."""
        known(data, "trigger")
        with self.turn:
            return {"tags": self.captions.common(keep=text(data, "trigger")), "why": PRUNING}

    # changing

    def preview(self, data):
        """What an edit, {"do", "words", "new", "query"}, would do: {"count", "examples": [{"name", "before", "after"}]}."""
        with self.turn:
            found = self.captions.preview(*self.asked(data))
        rows = [{"index": self.numbers[name], "name": name, "before": before, "after": after}
                for name, (before, after) in list(found.items())[:EXAMPLES]]
        return {"count": len(found), "examples": rows}

    def edit(self, data):
        with self.mine():
            return {"count": self.captions.edit(*self.asked(data))}

    def asked(self, data):
        known(data, "do", "words", "new", "query")
        return edit(data), self.captions.select(text(data, "query"))

    def write(self, data):
        """One caption typed by hand: {"name", "caption"}."""
        known(data, "name", "caption")
        with self.mine():
            return {"count": self.captions.put({text(data, "name"): text(data, "caption")})}

    def prune(self, data):
        """The trigger word to the front, {"trigger"}, and the tags {"tags"} out: one step. Nothing is done if "only_preview" is true."""
        known(data, "trigger", "tags", "only_preview")
        trigger, gone = text(data, "trigger"), text(data, "tags")
        if not trigger.strip() and not gone.strip():
            raise UserError("Write a trigger word, or choose tags to prune.")

        def change(caption):
            caption = tags.remove(caption, gone) if gone.strip() else caption
            return tags.lead(caption, trigger) if trigger.strip() else caption

        with self.turn:
            found = self.captions.preview(change)
            if not data.get("only_preview"):
                with self.mine():
                    self.captions.put({name: after for name, (_, after) in found.items()})
        rows = [{"index": self.numbers[name], "name": name, "before": before, "after": after}
                for name, (before, after) in list(found.items())[:EXAMPLES]]
        return {"count": len(found), "examples": rows}

    def undo(self):
        with self.mine():
            return {"count": self.captions.undo()}

    def save(self):
        """Write what changed, in the background; in the end `look` says how it went."""
        with self.mine():
            for name in self.captions.changed():
                self.jobs.access.folder(str(self.captions.entries[name].file), "images")
            self.begin("save", "saving captions", self.captions.save)
        return self.look()

    def begin(self, what, text, function):
        self.work, self.what = Work(text), what
        self.work.begin(function)

    @contextmanager
    def mine(self):
        """The turn of whoever changes captions; refused while a program writes them."""
        with self.turn:
            if self.busy:
                raise UserError("Captions are being written; wait for it, or stop that first.")
            yield

    # describing

    def describe(self, data):
        """Have the pictures that pass "query" described by "captioner" with "options"; "existing" as in `captioners.EXISTING`."""
        from lib_sdtune.data.captioners import EXISTING, describe_all, registry

        known(data, "captioner", "options", "existing", "query")
        existing = text(data, "existing", "keep")
        if existing not in EXISTING:
            raise UserError(f'"existing" can be: {", ".join(EXISTING)}; not {existing!r}.')
        captioner = registry[text(data, "captioner")](self.jobs.host, **group(data, "options"))
        captioner.refuse()
        with self.mine():
            names = self.captions.select(text(data, "query"))

            def work(progress):
                captioner.on_wait = lambda: progress(self.work.done, self.work.total, "waiting for the model")
                with captioner:
                    return describe_all(self.captions, captioner, names, existing, progress)

            self.begin("describe", "loading the model", work)
        return self.look()

    def stop(self):
        if self.work:
            self.work.stop()
        return self.look()
