"""Where a page prepares pictures: a look at one before and after, then the whole folder in the background."""

from pathlib import Path

from lib_sdtune.data.problem import printable
from lib_sdtune.declaration import build
from lib_sdtune.errors import UserError
from lib_sdtune.workshop.questions import group, known, text, whole
from lib_sdtune.workshop.station import Station
from lib_sdtune.workshop.thumbnails import address
from lib_sdtune.workshop.work import Work

SIDE = 512  # pixels of a preview
MOST = 20  # problems that are told


class Bench(Station):
    """One folder at a time."""

    def __init__(self, jobs):
        super().__init__(jobs)
        self.out = ""

    def folder(self, data, key):
        return self.jobs.access.folder(data.get(key), key)

    def preview(self, data):
        """One picture of {"source"} before and after {"settings"}: {"number", "name", "total", "before", "size", "after": [...]}.

        number: which, from 0. box: a crop drawn by hand, as fractions [left, top, right, bottom]; without "box" it is the one that an
        earlier preparation into {"out"} had, and the answer's "box" says it.
        """
        from lib_sdtune.data.prepare import PrepareConfig
        from lib_sdtune.data.prepare.run import original
        from lib_sdtune.data.prepare.run import preview as prepared

        known(data, "source", "settings", "number", "box", "out")
        settings, pictures = build(PrepareConfig, group(data, "settings")), self.pictures(data)
        number = whole(data, "number") % len(pictures)
        path, name = pictures[number].path, printable(pictures[number].relative)
        box = data["box"] if "box" in data else self.earlier(data).get(name)
        pieces = prepared(path, settings, box)
        before, size, _ = original(path, enough=lambda *_: SIDE)
        after = [{"picture": address(on_checks(image), SIDE), "size": list(image.size), "did": did, "suffix": suffix}
                 for suffix, image, did in pieces]
        return {"number": number, "name": name, "total": len(pictures), "size": list(size), "box": box,
                "before": address(on_checks(before), SIDE), "after": after}

    def earlier(self, data):
        """{name: crop} of what was prepared into {"out"} before."""
        from lib_sdtune.data.prepare.manifest import Manifest

        try:
            return Manifest(self.folder(data, "out")).boxes()
        except UserError:  # no such folder yet; Start says what is wrong with it
            return {}

    def pictures(self, data):
        from lib_sdtune.data.paths import locate
        from lib_sdtune.data.walk import walk

        source = self.folder(data, "source")
        found = walk(locate(str(source), Path.cwd(), "source"), [])
        if not found:
            raise UserError(f'"source": {printable(source)} holds no pictures.')
        return found

    def start(self, data):
        """Prepare {"source"} into {"out"} with {"settings"} and crops {"boxes"} of single pictures; what `look` says.

        Pictures without caption are described by {"captioner"} with {"options"}, if there is one.
        """
        from lib_sdtune.data.prepare import PrepareConfig, prepare
        from lib_sdtune.data.prepare.run import folders, writable
        from lib_sdtune.data.prepare.settings import check

        known(data, "source", "out", "settings", "boxes", "captioner", "options")
        if self.work and self.work.live:
            raise UserError(f"{printable(self.out)} is being prepared; wait for it, or stop it.")
        settings, boxes = build(PrepareConfig, group(data, "settings")), group(data, "boxes")
        check(settings)
        for name, box in boxes.items():
            if not isinstance(box, list | None):
                raise UserError(f'"boxes": the crop of {name!r} is not a list of four numbers, or null.')
        captioner = self.captioner(data)
        source, out = self.folder(data, "source"), self.folder(data, "out")
        folders(source, out, Path.cwd())
        writable(out)
        self.out, work = out, Work("looking for pictures")

        def whole(progress):
            captioner.on_wait = lambda: progress(work.done, work.total, "waiting for the model")
            with captioner:
                return prepare(source, out, settings, progress, boxes, captioner.describe)

        self.work = work.begin(whole if captioner else lambda progress: prepare(source, out, settings, progress, boxes))
        return self.look()

    def captioner(self, data):
        """The captioner that pictures without caption are described by; None if none is asked for."""
        from lib_sdtune.data.captioners import registry

        name = text(data, "captioner")
        if not name:
            return None
        captioner = registry[name](self.jobs.host, **group(data, "options"))
        captioner.refuse()
        return captioner

    def look(self):
        """{"work", "out", "made", "kept", "removed", "problems"} of the latest preparation."""
        if self.work is None:
            return {"work": None}
        seen, outcome = {"work": self.work.seen(), "out": printable(self.out)}, self.work.result
        if outcome is not None:
            seen |= {"made": len(outcome.made), "kept": len(outcome.kept), "removed": len(outcome.removed)}
            sentences = [problem.text for problem in outcome.problems]
            more = [f"… and {len(sentences) - MOST} more."] if len(sentences) > MOST else []
            seen["problems"] = sentences[:MOST] + more
        return seen


def on_checks(image):
    """RGB; what is transparent shows squares."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    from PIL import Image

    squares = Image.new("L", (2, 2), 200)
    squares.putpixel((0, 0), 235)
    squares.putpixel((1, 1), 235)
    tile = squares.resize((32, 32), Image.Resampling.NEAREST).convert("RGB")
    ground = Image.new("RGB", image.size)
    for left in range(0, image.width, 32):
        for top in range(0, image.height, 32):
            ground.paste(tile, (left, top))
    ground.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return ground
