"""What somebody who writes an unknown setting may have meant: another group's, another program's word, or a typing
mistake.
"""

import dataclasses
import typing
from collections.abc import Iterator

from lib_sdtune.registry import closest, did_you_mean, nearest

RATES = ("lr", "learning_rate")
ALIASES = {  # what papers and other programs call it
    "rank": "dim", "network_dim": "dim", "network_alpha": "alpha", "learning_rate": "unet_lr", "lr": "unet_lr",
    "steps": "max_train_steps", "epochs": "max_train_epochs", "batch": "batch_size",
    "train_batch_size": "batch_size", "caption": "prompt", "instance_prompt": "prompt", "init_word": "init_text",
}


def suggestion(key: str, section: type, root: type) -> str:
    """' (did you mean X?)' for a key that `section` of the settings `root` does not have; "" where they have none."""
    own, paths = [field.name for field in dataclasses.fields(section)], list(paths_of(root))
    words = [ALIASES.get(key, key), *(name for name in own if key in RATES and name.endswith("lr"))]
    if inside := next((word for word in words if word in own), None):
        return did_you_mean(inside)
    if elsewhere := next((path for path in paths if path.endswith(f".{words[0]}")), None):
        return did_you_mean(elsewhere)
    if typing_mistake := nearest(key, own):
        return typing_mistake
    last_words = {path.rpartition(".")[2]: path for path in reversed(paths)}
    word = closest(key, last_words, cutoff=0.75) or closest(key, own, cutoff=0) or closest(key, last_words, cutoff=0)
    return did_you_mean(word if word in own else last_words[word]) if word else ""


def paths_of(root: type, where: str = "") -> Iterator[str]:
    """Every setting's path, "concepts[0].images" for those of lists."""
    for field in dataclasses.fields(root):
        kind = typing.get_type_hints(root)[field.name]
        if "section" in field.metadata:
            yield from paths_of(field.metadata["section"], f"{where}{field.name}.")
        elif typing.get_origin(kind) is list and dataclasses.is_dataclass(typing.get_args(kind)[0]):
            yield from paths_of(typing.get_args(kind)[0], f"{where}{field.name}[0].")
        else:
            yield f"{where}{field.name}"
