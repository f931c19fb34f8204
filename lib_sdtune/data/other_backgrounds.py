"""When a picture is shown before another background than its own.

A subject that is only ever seen before bright backgrounds is drawn badly before a dark one. Where all plain backgrounds
of a set are bright, some showings have a dark one; where all are dark, a bright one.
"""

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from lib_sdtune import randomness
from lib_sdtune.data.example import Picture
from lib_sdtune.data.picture import Unreadable, load
from lib_sdtune.data.plain_background import DARK, Other, colour_of

NUMBER = 4  # of one picture: as many entries of latents more


class OtherBackgrounds:
    """rate: 0..1, of the showings. pictures: all of the subject's."""

    def __init__(self, rate: float, seed: int, pictures: Iterable[Picture]) -> None:
        self.rate, self.seed, self.pictures = rate, seed, pictures

    @cached_property
    def dark(self) -> bool | None:
        """Whether the other backgrounds are dark; None where there are none."""
        if not self.rate:
            return None
        colours = [colour for picture in self.pictures if (colour := background_of(picture)) is not None]
        are_dark = {bool(colour.mean() < DARK) for colour in colours}
        return not are_dark.pop() if len(are_dark) == 1 else None

    def choice(self, index: int, occurrence: int) -> Other | None:
        """Before which picture number `index` is shown at this showing; None for its own."""
        rng = randomness.rng(self.seed, "background", index, occurrence)
        if rng.random() >= self.rate or self.dark is None:
            return None
        return Other(self.dark, rng.randrange(NUMBER))

    def all(self) -> list[Other]:
        return [] if self.dark is None else [Other(self.dark, number) for number in range(NUMBER)]


def background_of(picture: Picture) -> np.ndarray | None:
    """(3,) the colour of a picture's plain background; None for others, and where the file is gone."""
    try:
        return colour_of(np.asarray(load(picture.path, picture.content)[0]))
    except Unreadable:
        return None
