"""words.json in the run folder: the words that the diffusion classifier chose for pictures without captions, with what
it was asked, so that a resumed run trains on the same ones and no other run takes them over.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib_sdtune.data.example import Picture
from lib_sdtune.formats import structure
from lib_sdtune.formats.files import write_json

log = logging.getLogger("sdtune")


class SavedDescriptions:
    """words: what the picture's content and its prompt are -> the words that fit it.

    groups: the words to choose from; model: its {"name", "hash"}. What was said to other words or by another model is
    not taken over. Earlier versions wrote neither, and keyed words by the content alone.
    """

    def __init__(self, path: Path, groups: Sequence[Sequence[str]], model: dict[str, str]) -> None:
        self.path, self.groups, self.model = path, [list(group) for group in groups], model
        kept = structure.read(path, {"words": {}}) or {"words": {}}
        self.words: dict[str, list[str]] = {
            key: words for key, words in kept["words"].items() if structure.fits(words, [str])
        } if self.answers_the_same(kept) else {}
        if kept["words"] and not self.words:
            log.info("What the model said before was said to other words, or by another model, so it is asked anew.")

    def answers_the_same(self, kept: dict[str, Any]) -> bool:
        """Whether what was kept was said to the same words by the same model, as far as it tells."""
        model = kept.get("model", self.model)
        known = "hash" if structure.fits(model, {"hash": str}) and model["hash"] and self.model["hash"] else "name"
        return (kept.get("groups", self.groups) == self.groups
                and structure.fits(model, {known: str}) and model[known] == self.model[known])

    def of(self, picture: Picture, prompt: str) -> list[str] | None:
        """The words of a picture under a prompt; None where the model was not asked."""
        return self.words.get(key(picture, prompt), self.words.get(picture.content))

    def add(self, picture: Picture, prompt: str, words: Sequence[str]) -> None:
        self.words[key(picture, prompt)] = list(words)

    def write(self) -> None:
        write_json(self.path, {"groups": self.groups, "model": self.model, "words": self.words})


def key(picture: Picture, prompt: str) -> str:
    return f"{picture.content} {prompt}"
