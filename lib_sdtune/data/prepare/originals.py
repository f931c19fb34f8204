"""The pictures that are prepared: how the files made from each are called, and its pixels read from the disk."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from lib_sdtune.data import captions
from lib_sdtune.data.buckets import Size
from lib_sdtune.data.example import PictureFile
from lib_sdtune.data.picture import check_sums, decoded, drafted, fingerprint, opened, orientation, read_bytes, upright
from lib_sdtune.data.prepare import crop
from lib_sdtune.data.prepare.settings import PrepareConfig
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.errors import UserError

MAX_NAME_BYTES = 200  # bytes of a name; disks allow some 255 with everything that is put behind it
CAPTION_ONLY = ("prompt", "trigger", "add_tags", "remove_tags", "replace", "replace_regex", "sort_tags", "dedupe_tags",
                "plain_captions")


@dataclass(frozen=True)
class Original:
    """One picture to prepare. stem: how the files made from it are called, without suffix. key: what they depend on."""

    file: PictureFile
    stem: str
    box: tuple[float, ...] | None
    caption: str
    key: str

    @property
    def name(self) -> str:
        return printable(self.file.relative)


def originals_of(
    files: Sequence[PictureFile],
    settings: PrepareConfig,
    boxes: Mapping[str, Sequence[float | str] | None],
    problems: list[Problem],
) -> Iterator[Original]:
    """One `Original` for each picture file, with names that don't collide on any system."""
    names = Names(settings, [plain_stem(file, settings) for file in files])
    for file in files:
        stem = names.reserve(plain_stem(file, settings), file.path.suffix[1:].lower())
        box = boxes.get(printable(file.relative))
        caption = captions.from_file(file, ".txt", problems) or file.metadata_caption
        if file.mask:
            problems.append(Problem(file.mask, f"{printable(file.mask.name)} is not prepared with its picture; draw "
                                               "the mask "
                                               "of what comes out anew.", True, "mask"))
        fractions = tuple(map(float, box)) if box else None
        yield Original(file, stem, fractions, caption, key(settings, fractions))


def plain_stem(file: PictureFile, settings: PrepareConfig) -> str:
    """Below the output folder, without suffix: what the files would be called if they were alone."""
    relative = Path(file.relative)
    path = Path(settings.folder) / relative.stem if settings.folder else relative.with_suffix("")
    path = Path(printable(path).replace("?", "_"))
    return path.with_name(path.name.encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore")).as_posix()


class Names:
    """Stems such that no file made from one original is called like a file made from another, or like a folder.

    stems: what all originals would be called; of two that collide the later, or that with the longer name, gets
    another.
    """

    def __init__(self, settings: PrepareConfig, stems: Sequence[str]) -> None:
        self.settings, self.stems = settings, {stem.casefold() for stem in stems}
        self.folders = {parent.as_posix().casefold() for stem in stems for parent in Path(stem).parents}
        self.reserved: set[str] = set()

    def reserve(self, stem: str, suffix: str) -> str:
        """The stem, or one beside it that is free; suffix: of the original, which may tell it from the others."""
        candidate, count = stem, 1
        if not self.free(candidate) and suffix:
            candidate = f"{stem}-{suffix}"
        while not self.free(candidate):
            count += 1
            candidate = f"{stem}_{count}" if self.settings.split else f"{stem}-{count}"
        self.reserved.add(candidate.casefold())
        return candidate

    def free(self, stem: str) -> bool:
        stem = stem.casefold()
        files = {f"{stem}.{self.settings.format}", f"{stem}.txt"}
        bases = self.bases(stem)
        return stem not in self.reserved and not files & self.folders and not bases & (self.stems | self.reserved)

    def bases(self, stem: str) -> set[str]:
        """The stems whose pieces or mirrored copies are called like this one."""
        bases = {stem.removesuffix("-flip")} if self.settings.flip else {stem}
        if self.settings.split:
            bases |= {re.sub(r"-\d+$", "", base) for base in bases}
        return bases - {stem}


def key(settings: PrepareConfig, box: tuple[float, ...] | None) -> str:
    """What the pixels depend on."""
    values = {name: value for name, value in asdict(settings).items() if name not in CAPTION_ONLY}
    return json.dumps([values, box], sort_keys=True)


def refuse_crops(boxes: Mapping[str, Sequence[float | str] | None], names: set[str]) -> None:
    """UserError for a crop that is none, or is of no picture."""
    for name, box in boxes.items():
        if box is not None:
            crop.drawn(box, (1 << 20, 1 << 20))
        if name not in names:
            raise UserError(f"There is a crop for {name!r}, but no such picture.")


def read_original(path: Path, content: str | None = None, needed_side: Callable[[int, int], int | None] | None = None,
                  ) -> tuple[Image.Image | None, Size | None, str]:
    """(upright RGB or RGBA image, its size in the file, hash of the file); (None, None, hash) if the hash is `content`.

    needed_side(width, height) -> pixels of the long side that will do, None for all: a JPEG is then decoded no larger
    than needed. Unreadable if it can't be read.
    """
    data = read_bytes(path)
    if fingerprint(data) == content:
        return None, None, content
    image = opened(data)
    turn = orientation(image)
    size = (image.height, image.width) if turn > 4 else image.size
    side = needed_side and needed_side(*size)
    if side:
        drafted(image, side)
    upright_image = upright(decoded(image, data), turn)
    check_sums(image.format, data)
    return upright_image, size, fingerprint(data)
