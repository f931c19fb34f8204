"""The dataset TOML of kohya-ss/sd-scripts: which folders make up a data set, and what each of them wants.

Settings stand in [general], [[datasets]] and [[datasets.subsets]]; the inner ones win (docs/config_README-en.md there).
Folder names carry no repeats here. What belongs to the whole run (resolution, batch size) is compared, not obeyed.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from lib_sdtune.data import text
from lib_sdtune.data.captions import FILEWORDS, NAME
from lib_sdtune.data.problem import Problem, printable
from lib_sdtune.errors import UserError
from lib_sdtune.formats import toml
from lib_sdtune.sections.dataset import ENDING, DatasetConfig

RUN_WIDE = ("resolution", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_reso_steps",
            "bucket_no_upscale", "shuffle_caption", "keep_tokens", "caption_dropout_rate", "caption_tag_dropout_rate",
            "flip_aug", "random_crop", "alpha_mask", "keep_tokens_separator", "secondary_separator", "enable_wildcard",
            "token_warmup_min", "token_warmup_step", "caption_dropout_every_n_epochs")
OF_SUBSETS = ("image_dir", "num_repeats", "class_tokens", "is_reg", "conditioning_data_dir", "caption_extension",
              "caption_prefix", "caption_suffix", "subsets")
HARMLESS = ("cache_info", "validation_seed", "validation_split", "custom_attributes", "batch_size")


@dataclass(frozen=True)
class Table:
    """One [[datasets.subsets]] with what it inherits."""

    image_dir: str
    repeats: int
    words: str
    is_class: bool
    extension: str
    prefix: str
    suffix: str
    conditioning_data_dir: str


def read(path: Path, dataset: "DatasetConfig | None", problems: list[Problem]) -> list[Table]:
    """The subsets of a dataset TOML.

    Settings that differ from the run's `DatasetConfig` (None: no run yet) or are unknown are named in `problems`.
    UserError for a file that is none.
    """
    data = toml.parse(text.read(path, 1 << 20)[0], printable(path.name))
    tables: list[Table] = []
    differences: dict[str, str] = {}
    for group in tables_of(data.get("datasets"), "datasets", path):
        for subset in tables_of(group.get("subsets"), "subsets", path):
            inherited = {key: value for key, value in group.items() if key != "subsets"}
            merged = {**general(data.get("general", {}), path), **inherited, **subset}
            tables.append(checked(merged, path))
            differences |= differing(merged, dataset) if dataset else {}
    for key, sentence in sorted(differences.items()):
        problems.append(Problem(path, f"{printable(path.name)}: {sentence}", False, f"setting {key}"))
    return tables


def tables_of(value: object, name: str, path: Path) -> list[dict]:
    if not isinstance(value, list) or not value or not all(isinstance(table, dict) for table in value):
        raise UserError(f"{printable(path.name)} has no [[{name}]]; a dataset TOML has [[datasets]] with "
                        "[[datasets.subsets]] in them.")
    return value


def general(value: object, path: Path) -> dict:
    if not isinstance(value, dict):
        raise UserError(f"{printable(path.name)}: [general] must be a group of settings.")
    return value


def checked(merged: dict, path: Path) -> Table:
    if not isinstance(merged.get("image_dir"), str):
        raise UserError(f"{printable(path.name)}: a subset has no image_dir; only folders of pictures are read.")
    repeats = merged.get("num_repeats", 1)
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise UserError(f"{printable(path.name)}: num_repeats is {repeats!r}; it must be a whole number from 1 on.")
    words, extension, prefix, suffix, masks = (str(merged.get(key) or "") for key in (
        "class_tokens", "caption_extension", "caption_prefix", "caption_suffix", "conditioning_data_dir"))
    if any(place in words for place in (FILEWORDS, NAME)):
        raise UserError(f"{printable(path.name)}: class_tokens is {words!r}, and nothing is filled in there; write "
                        "what the pictures show, and a template into the concept's prompt.")
    if not re.fullmatch(ENDING[0], extension):
        raise UserError(f"{printable(path.name)}: caption_extension is {extension!r}; it must be {ENDING[1]}.")
    return Table(merged["image_dir"], repeats, words, bool(merged.get("is_reg")), extension, prefix, suffix, masks)


def differing(merged: dict, dataset: DatasetConfig) -> dict[str, str]:
    """{key: sentence} of what the run does otherwise than the file says."""
    sentences = {}
    for key, value in merged.items():
        if key in RUN_WIDE:
            square = isinstance(value, list) and len(set(map(str, value))) == 1
            value_here = getattr(dataset, key)
            if (value[0] if square else value) != value_here:
                sentences[key] = (f"{key} is {value!r} there and {value_here!r} in this run; "
                                  f"set dataset.{key} if you want that.")
        elif key not in OF_SUBSETS + HARMLESS:
            sentences[key] = f"{key} is not known here and has no effect."
    return sentences
