"""Pictures prepared for a page: one picture before and after, then the whole folder in the background."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune.data.problem import printable
from lib_sdtune.declaration import build
from lib_sdtune.errors import UserError
from lib_sdtune.progress import Progress
from lib_sdtune.sections.dataset import with_bucket_sides
from lib_sdtune.services.context import ServiceContext
from lib_sdtune.services.fields import group, refuse_unknown, text, whole_number
from lib_sdtune.services.task import Task, TaskService
from lib_sdtune.services.thumbnails import data_address

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 512  # pixels of a preview
MAX_PROBLEMS = 20  # problems that are told


class PrepareService(TaskService):
    """One folder at a time; `out` is where the latest goes."""

    def __init__(self, context: ServiceContext) -> None:
        super().__init__(context)
        self.out: Path | str = ""

    def folder(self, data: dict, key: str) -> Path:
        return self.context.access.folder(data.get(key), key)

    def preview(self, data: dict) -> dict[str, Any]:
        """One picture of {"source"} before and after {"settings"}.

        {"number", "name", "total", "before", "size", "after": [{"picture", "size", "did", "suffix"}], "box"}
        number: which, from 0. box: a crop drawn by hand, as fractions [left, top, right, bottom]; without "box" it is
        the one that an earlier preparation into {"out"} had, and the answer's "box" says it.
        """
        from lib_sdtune.data.prepare import PrepareConfig
        from lib_sdtune.data.prepare.originals import read_original
        from lib_sdtune.data.prepare.run import preview as prepare_one

        refuse_unknown(data, "source", "settings", "number", "box", "out")
        settings, pictures = build(PrepareConfig, with_bucket_sides(group(data, "settings"))), self.pictures(data)
        number = whole_number(data, "number") % len(pictures)
        path, name = pictures[number].path, printable(pictures[number].relative)
        box = data["box"] if "box" in data else self.earlier_crops(data).get(name)
        pieces = prepare_one(path, settings, box)
        before, size, _ = read_original(path, needed_side=lambda *_: SIDE)
        after = [{"picture": data_address(on_checkerboard(image), SIDE), "size": list(image.size), "did": did,
                  "suffix": suffix} for suffix, image, did in pieces]
        return {"number": number, "name": name, "total": len(pictures), "size": list(size), "box": box,
                "before": data_address(on_checkerboard(before), SIDE), "after": after}

    def earlier_crops(self, data: dict) -> dict[str, list]:
        """{name: crop} of what was prepared into {"out"} before."""
        from lib_sdtune.data.prepare.manifest import Manifest

        try:
            return Manifest(self.folder(data, "out")).boxes()
        except UserError:  # no such folder yet; Start says what is wrong with it
            return {}

    def pictures(self, data: dict) -> list:
        """The picture files in {"source"}. UserError if there are none."""
        from lib_sdtune.data.paths import locate
        from lib_sdtune.data.prepare.run import SOURCE
        from lib_sdtune.data.walk import walk

        source = self.folder(data, "source")
        pictures = walk(locate(str(source), Path.cwd(), SOURCE), [])
        if not pictures:
            raise UserError(f'"{SOURCE}": {printable(source)} holds no pictures.')
        return pictures

    def start(self, data: dict) -> dict[str, Any]:
        """Prepare {"source"} into {"out"} with {"settings"} and crops {"boxes"} of single pictures; what `status` says.

        Pictures without caption are described by {"captioner"} with {"options"}, if there is one.
        """
        from lib_sdtune.data.prepare import PrepareConfig, prepare
        from lib_sdtune.data.prepare.checks import check
        from lib_sdtune.data.prepare.run import folders, writable

        refuse_unknown(data, "source", "out", "settings", "boxes", "captioner", "options")
        self.refuse_a_second(f"{printable(self.out)} is being prepared; wait for it, or stop it.")
        settings, boxes = build(PrepareConfig, with_bucket_sides(group(data, "settings"))), group(data, "boxes")
        check(settings)
        for name, box in boxes.items():
            if not isinstance(box, list | None):
                raise UserError(f'"boxes": the crop of {name!r} is not a list of four numbers, or null.')
        captioner = self.captioner(data)
        source, out = self.folder(data, "source"), self.folder(data, "out")
        folders(source, out, Path.cwd())
        writable(out)
        self.out, self.task = out, Task("looking for pictures")
        task = self.task

        def describe_too(progress: Progress) -> Any:
            captioner.on_wait = lambda: progress(task.done, task.total, "waiting for the model")
            with captioner:
                return prepare(source, out, settings, progress, boxes, captioner.describe)

        task.start(describe_too if captioner else lambda progress: prepare(source, out, settings, progress, boxes))
        return self.status()

    def captioner(self, data: dict) -> Any:
        """The captioner that pictures without caption are described by; None if none is asked for."""
        from lib_sdtune.data.captioners import registry

        name = text(data, "captioner")
        if not name:
            return None
        captioner = registry[name](self.context.host, **group(data, "options"))
        captioner.refuse()
        return captioner

    def status(self) -> dict[str, Any]:
        """{"work", "out", "made", "kept", "removed", "problems"} of the latest preparation."""
        if self.task is None:
            return {"work": None}
        status, outcome = {**super().status(), "out": printable(self.out)}, self.task.result
        if outcome is not None:
            status |= {"made": len(outcome.written), "kept": len(outcome.unchanged), "removed": len(outcome.removed)}
            sentences = [problem.text for problem in outcome.problems]
            more = [f"… and {len(sentences) - MAX_PROBLEMS} more."] if len(sentences) > MAX_PROBLEMS else []
            status["problems"] = sentences[:MAX_PROBLEMS] + more
        return status


def on_checkerboard(image: "Image") -> "Image":
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
