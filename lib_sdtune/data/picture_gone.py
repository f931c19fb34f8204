"""A picture that was good when its folder was read, and is gone or another one when it is to be encoded."""

from lib_sdtune.data.example import Picture
from lib_sdtune.data.picture import Unreadable
from lib_sdtune.errors import RunError


class PictureGone(RunError):
    """picture: the `Picture` that cannot be learned from, because its file, or the mask beside it, cannot be read."""

    def __init__(self, picture: Picture, name: str, reason: Unreadable) -> None:
        super().__init__(reason.of(name))
        self.picture = picture
