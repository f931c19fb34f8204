"""The pictures of `validation.images`, which are measured and never trained on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lib_sdtune.data import scan as scanning
from lib_sdtune.data.scan import Scan
from lib_sdtune.errors import UserError
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.general import GeneralConfig


def check(config: GeneralConfig, base: Path | str, template_folders: Sequence[Path] = ()) -> None:
    """UserError where the folder that is named cannot be measured; no more is read of it than that takes."""
    if config.validation.images:
        with named_validation():
            scanning.check([concept(config)], config.loss, base, template_folders)


def read(config: GeneralConfig, trained: Scan, base: Path | str,
         progress: Callable[[int, int, str], None] | None = None, template_folders: Sequence[Path] = ()
         ) -> tuple[Scan, list[int]]:
    """The `Scan` of the folder, and the numbers of its pictures that are not trained on too. UserError without any."""
    with named_validation():
        held_out = scanning.scan([concept(config)], config.dataset, config.loss, base, progress,
                                 template_folders=template_folders)
    known = {picture.content for picture in trained.pictures}
    fresh = [number for number, picture in enumerate(held_out.pictures) if picture.content not in known]
    if not fresh:
        raise UserError('"validation.images": all of its pictures are trained on as well; validation needs others.')
    return held_out, fresh


def concept(config: GeneralConfig) -> Concept:
    """The folder as a concept of its own, with the trigger words of the first one."""
    return replace(config.concepts[0], images=config.validation.images, repeats=1, conditioning_data_dir="",
                   class_images="", num_class_images=0)


@contextmanager
def named_validation() -> Iterator[None]:
    """Inside, what is wrong with the folder is told under the key that names it."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace('"concepts[0].images"', '"validation.images"', 1)) from None
