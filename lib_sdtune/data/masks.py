"""A mask beside a picture, NAME.mask.png or OneTrainer's NAME-masklabel.png beside NAME.png: where it is white, an
inpainting model learns to fill in, and other models learn at all (`dataset.masked_loss`).

As the WebUI takes an uploaded mask: a transparent one counts where it is opaque, any other where it is white.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from lib_sdtune.data.example import Example, Mask, Picture
from lib_sdtune.data.listing import first_names
from lib_sdtune.data.picture import Facts, Unreadable, load
from lib_sdtune.data.picture_gone import PictureGone
from lib_sdtune.data.pixels import frame
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.data.thread_map import ordered
from lib_sdtune.errors import require
from lib_sdtune.sections.dataset import DatasetConfig

MARK = ".mask"  # at the end of a mask's name, before its ending
MARKS = (MARK, "-masklabel")  # OneTrainer's is read too
WHITE = 128  # of 255: from here on a pixel is missing


def is_mask(name: str) -> bool:
    return Path(name).stem.casefold().endswith(MARKS)


def by_stem(names: Sequence[str]) -> dict[str, str]:
    """The stem of a picture -> the name of its mask."""
    stems = {Path(name).stem: name for name in names}
    marked = [(stem, mark) for stem in stems for mark in MARKS if stem.casefold().endswith(mark)]
    return {stem[: -len(mark)]: stems[stem] for stem, mark in marked}


def refuse_useless(pictures: Sequence[Picture]) -> None:
    """UserError where no picture has a mask, or no mask lets anything count; for runs that learn by masks."""
    require(any(picture.mask for picture in pictures),
            '"dataset.masked_loss" is on, and beside no picture lies a mask; save them as NAME.mask.png '
            "beside NAME.png, or set it to false.")
    black = without_white(pictures)
    require(not black or len(black) < len(of_subject(pictures)),
            '"dataset.masked_loss" is on, and every mask is black all over, so nothing would be learned; make the '
            "masks white where the subject is, or set it to false.")


def without_effect(pictures: Sequence[Picture], dataset: DatasetConfig) -> Iterator[Problem]:
    """Masks that leave a picture out as a whole, and pictures that nothing is masked in although that is asked for."""
    subject = of_subject(pictures)
    if dataset.alpha_mask and subject and not any(picture.has_alpha for picture in subject):
        yield Problem(subject[0].path, '"dataset.alpha_mask" has no effect: no picture is transparent anywhere.', False,
                      "not transparent")
    if not dataset.masked_loss:
        return
    if black := without_white(pictures):
        yield Problem(black[0].path, f"The masks of {named(black)} are black all over, so nothing is learned from "
                                     "these pictures.", False, "mask black")
    if whole := [picture for picture in subject if picture.mask is None]:
        yield Problem(whole[0].path, f"{len(whole)} of {len(subject)} pictures have no mask and count as a whole: "
                                     f"{named(whole)}.", False, "no mask")


def of_subject(pictures: Sequence[Picture]) -> list[Picture]:
    return [picture for picture in pictures if not picture.is_class]


def without_white(pictures: Sequence[Picture]) -> list[Picture]:
    masked = [picture for picture in of_subject(pictures) if picture.mask]
    return [picture for picture, black in ordered(lambda picture: is_black(picture.mask), masked) if black]


@lru_cache(maxsize=10_000)
def is_black(mask: Mask) -> bool:
    """Whether no pixel of it counts; also False where it cannot be read any more, which is told elsewhere."""
    try:
        image, alpha = load(mask.path, mask.content)
    except Unreadable:
        return False
    return (alpha or image.convert("L")).getextrema()[1] == 0


def named(pictures: Sequence[Picture]) -> str:
    return first_names([picture.relative for picture in pictures])


def checked(path: Path, picture: Facts, examine: Callable[[Path], Facts | Unreadable],
            problems: list[Problem]) -> Mask | None:
    """The mask at `path`; None, and a problem, where it cannot be that of the picture."""
    facts, name = examine(path), printable(path.name)
    if isinstance(facts, Unreadable):
        problems.append(Problem(path, facts.of(path.name), True, facts.kind))
        return None
    if (facts.width, facts.height) != (picture.width, picture.height):
        sentence = (f"{name} is {facts.width} × {facts.height} pixels and its picture {picture.width} × "
                    f"{picture.height}; "
                    "it is not used. Save it in the picture's size.")
        problems.append(Problem(path, sentence, True, "mask of another size"))
        return None
    return Mask(path, facts.content)


def hole(mask: Mask, example: Example, downscale: int) -> torch.Tensor:
    """(1, height, width) float32, sides in latents: 1 where any pixel of the mask says that the picture is missing."""
    pixels = np.array(frame(opened(mask, example), example, Image.Resampling.BOX), dtype=np.float32)
    return F.max_pool2d(torch.from_numpy(pixels >= WHITE)[None].float(), downscale)


def whiteness(mask: Mask, example: Example, downscale: int) -> torch.Tensor:
    """(1, height, width) float32 in 0..1, sides in latents: how white the mask is on average in each of them."""
    pixels = np.array(frame(opened(mask, example), example, Image.Resampling.BOX), dtype=np.float32) / 255
    return F.avg_pool2d(torch.from_numpy(pixels)[None], downscale)


def opened(mask: Mask, example: Example) -> Image.Image:
    """What of the mask counts, in grey. PictureGone if it can't be read."""
    try:
        image, alpha = load(mask.path, mask.content)
    except Unreadable as error:
        raise PictureGone(example.picture, mask.path.name, error) from error
    return alpha or image.convert("L")
