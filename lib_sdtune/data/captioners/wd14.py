"""Danbooru tags, by a WD14 tagger (SmilingWolf's wd-v1-4-*, wd-*-v3 and those made like them) that a person has put
into the folder WD14 of the models' folder: model.onnx with selected_tags.csv, or folders that hold both.

The model takes (1, side, side, 3) float32, blue first, 0 to 255, white around what is not square; it answers the
probability of every line of selected_tags.csv (tag_id,name,category,count; category 0 is general, 4 a character, 9 how
explicit a picture is). Source: the taggers' own page, huggingface.co/SmilingWolf.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lib_sdtune.data.captioners import Captioner, registry
from lib_sdtune.declaration import option
from lib_sdtune.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

MODEL, TAGS = "model.onnx", "selected_tags.csv"
GENERAL, CHARACTER = "0", "4"
SIDE = 448  # pixels, where the model takes any


class Tag(NamedTuple):
    name: str
    category: str


@registry.register("wd14")
class WD14(Captioner):
    label = "WD14 (tags)"

    @dataclass
    class Options:
        """Which tags, and how they are written."""

        model: str = option("", "Empty takes the first; or the name of a folder in models/WD14.", label="Tagger")
        general_threshold: float = option(0.35, "0.35; less finds more tags, and more wrong ones.", low=0, high=1)
        character_threshold: float = option(0.85, "0.85: how sure it must be of a character's name.", low=0, high=1)
        spaces: bool = option(True, "Spaces instead of underscores.", label="Write spaces")

    def refuse(self) -> None:
        try:
            import onnxruntime  # noqa: F401
        except Exception as error:  # it fails in many ways when its runtime is missing
            raise UserError("WD14 taggers need onnxruntime, which is not installed here; install it "
                            "(pip install onnxruntime).") from error
        self.folder()

    def folder(self) -> Path:
        """The folder of the tagger that is asked for. UserError that says where one belongs."""
        place = self.host.folder("taggers")
        candidates = [place, *(sorted(place.iterdir()) if place.is_dir() else [])]
        taggers = {folder.name if folder != place else "": folder for folder in candidates
                   if (folder / MODEL).is_file() and (folder / TAGS).is_file()}
        if not taggers:
            raise UserError(f"There is no WD14 tagger in {place}: put {MODEL} and {TAGS} there, or into a folder in "
                            "it. Nothing is downloaded for you.")
        if not self.options.model:
            return next(iter(taggers.values()))
        if self.options.model not in taggers:
            names = ", ".join(name for name in taggers if name) or "none but the one in that folder itself"
            raise UserError(f'"model" {self.options.model!r} is no tagger in {place}; there are: {names}.')
        return taggers[self.options.model]

    def __enter__(self) -> "WD14":
        self.refuse()
        import onnxruntime

        folder = self.folder()
        self.tags = read_tags(folder / TAGS)
        try:
            providers = onnxruntime.get_available_providers()
            self.session = onnxruntime.InferenceSession(str(folder / MODEL), providers=providers)
        except Exception as error:  # onnxruntime has errors of its own for every way in which a file can be wrong
            raise UserError(f"{folder / MODEL} cannot be loaded; put the tagger's own file there. {error}") from error
        self.input = self.session.get_inputs()[0]
        side = self.input.shape[1]
        self.side = side if isinstance(side, int) else SIDE
        return self

    def __exit__(self, *error: object) -> None:
        del self.session

    def describe(self, image: "Image") -> str:
        (probabilities, *_) = self.session.run(None, {self.input.name: pixels(image, self.side)})
        if probabilities.shape != (1, len(self.tags)):
            raise UserError(f"{TAGS} has {len(self.tags)} tags and {MODEL} answers {probabilities.shape[-1]}; they are "
                            "not of the same tagger.")
        thresholds = {GENERAL: self.options.general_threshold, CHARACTER: self.options.character_threshold}
        return ", ".join(chosen(self.tags, probabilities[0].tolist(), thresholds, self.options.spaces))


def read_tags(path: Path) -> list[Tag]:
    """UserError for a file of another kind."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [Tag(row["name"], row["category"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a list of tags ({error}); it comes with the tagger.") from error


def pixels(image: "Image", side: int) -> "np.ndarray":
    """(1, side, side, 3) float32, blue first, 0 to 255: an RGB image on a white square."""
    import numpy as np
    from PIL import Image

    longest = max(image.size)
    square = Image.new("RGB", (longest, longest), "white")
    square.paste(image, ((longest - image.width) // 2, (longest - image.height) // 2))
    array = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    return np.ascontiguousarray(array[None, :, :, ::-1])


def chosen(tags: Sequence[Tag], probabilities: Sequence[float], thresholds: dict[str, float],
           spaces: bool) -> list[str]:
    """Names of the tags that are sure enough: characters first, then the others, the surest in front."""
    sure = [(tag, probability) for tag, probability in zip(tags, probabilities, strict=True)
            if probability >= thresholds.get(tag.category, 2.0)]
    sure.sort(key=lambda entry: (entry[0].category != CHARACTER, -entry[1]))
    return [written(tag.name, spaces) for tag, _ in sure]


def written(name: str, spaces: bool) -> str:
    """"long hair" of "long_hair"; faces such as ^_^ and 0_0 stay."""
    parts = name.split("_")
    return name.replace("_", " ") if spaces and any(len(part) > 1 for part in parts) else name
