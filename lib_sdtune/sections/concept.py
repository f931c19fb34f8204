"""What a run learns: pictures, their captions, and the class they belong to."""

from dataclasses import dataclass, field
from typing import ClassVar

from lib_sdtune.declaration import option


@dataclass
class Concept:
    """One subject or style: its pictures, their captions, and the class it belongs to."""

    FOLDERS: ClassVar[tuple[str, ...]] = ("images", "conditioning_data_dir", "class_images")

    images: str = field(metadata={"help": "the folder of the training pictures.", "label": "Pictures"})
    repeats: int | None = option(None, "Empty takes the number in front of the folder's name (10_ron), else 1.",
                                 label="Repeats", low=1, high=100000)
    prompt: str = option(
        "", 'Caption of pictures that have none, such as "a photo of ron cat"; or a template such as subject.txt.',
        label="Trigger words")
    conditioning_data_dir: str = option(
        "", "Folder of the masks, each called like its picture; masks beside the pictures need none.",
        label="Mask pictures")
    class_images: str = option("", "Folder of class (regularisation) pictures: the class without your subject.",
                               label="Class pictures")
    class_prompt: str = option("", 'Caption of the class pictures, such as "a photo of a cat".', label="Class prompt")
    num_class_images: int = option(0, "Missing class pictures are generated until there are this many.",
                                   label="Number of class pictures", low=0, high=100000)


def names_template(prompt: str) -> bool:
    """Whether a prompt is the name, or the path, of a template file."""
    return prompt.strip().lower().endswith(".txt")
