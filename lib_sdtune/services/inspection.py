"""Folders being looked through for somebody who waits for the answer: others see how far it is, and can stop it."""

from collections.abc import Callable
from typing import Any, TypeVar

from lib_sdtune.declaration import build
from lib_sdtune.errors import UserError
from lib_sdtune.progress import Progress
from lib_sdtune.services.context import ServiceContext
from lib_sdtune.services.fields import group, refuse_unknown
from lib_sdtune.services.task import Stopped, Task, TaskService
from lib_sdtune.services.thumbnails import ThumbnailCache

Result = TypeVar("Result")


class InspectionService(TaskService):
    """The latest inspection is the one that is watched, and whose pictures are shown."""

    def __init__(self, context: ServiceContext) -> None:
        super().__init__(context)
        self.thumbnails = ThumbnailCache()

    def start(self, data: dict) -> dict[str, Any]:
        """What `inspect --json` says of {"images": a folder or a dataset TOML} under the settings {"dataset"}."""
        from lib_sdtune.data.inspect import inspect
        from lib_sdtune.data.subsets import toml_folders
        from lib_sdtune.sections.dataset import DatasetConfig, with_bucket_sides
        from lib_sdtune.services.final_captions import tokenizer_of

        refuse_unknown(data, "images", "dataset")
        dataset = build(DatasetConfig, with_bucket_sides(group(data, "dataset")), "dataset")
        path = self.context.access.folder(data.get("images"), "images")
        for folder in toml_folders(str(path)):
            self.context.access.folder(folder, "images")
        return self.watch(lambda progress: inspect(path, dataset, tokenizer_of(self.context.host), progress))

    def thumbnail(self, content: str, large: bool = False) -> bytes | None:
        """JPEG bytes of a small copy of a picture that the latest check of a run's settings has read.

        content: the hash of its bytes (`Picture.content`). None where no such picture was read.
        """
        scan = self.context.latest_scan
        path = next((picture.path for picture in scan.pictures if picture.content == content), None) if scan else None
        if path is None:
            return None
        self.context.access.folder(str(path), "images")  # a link may have been changed meanwhile
        return self.thumbnails.get(path, large)

    def watch(self, function: Callable[[Progress], Result]) -> Result:
        """The result of `function(progress)`, its errors as they are; UserError if somebody stopped it."""
        task = self.task = Task("reading pictures")
        try:
            task.progress(0, 0, task.text)
            return function(task.progress)
        except Stopped:
            raise UserError("Stopped before all pictures were looked at.") from None
        finally:
            task.end("done")
