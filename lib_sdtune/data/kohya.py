"""The dataset TOML of kohya-ss/sd-scripts: which folders make up a data set, and what each of them wants.

Settings stand in [general], [[datasets]] and [[datasets.subsets]]; the inner ones win (docs/config_README-en.md there).
Folder names carry no repeats here. What belongs to the whole run (resolution, batch size) is compared, not obeyed.
"""

from dataclasses import dataclass

from lib_sdtune.data import text
from lib_sdtune.data.problem import Problem, shown
from lib_sdtune.errors import UserError
from lib_sdtune.formats import toml

RUN_WIDE = ("resolution", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_reso_steps", "bucket_no_upscale",
            "shuffle_caption", "keep_tokens", "caption_dropout_rate", "caption_tag_dropout_rate", "flip_aug", "random_crop", "alpha_mask")
KNOWN = ("image_dir", "num_repeats", "class_tokens", "is_reg", "caption_extension", "caption_prefix", "caption_suffix", "subsets")
HARMLESS = ("cache_info", "validation_seed", "validation_split", "custom_attributes", "batch_size")


@dataclass(frozen=True)
class Subset:
    """One folder of pictures."""

    images: str
    repeats: int
    words: str
    is_class: bool
    extension: str
    prefix: str
    suffix: str


def read(path, dataset, problems):
    """The subsets of a dataset TOML. Settings that differ from the run's `DatasetConfig` or are unknown are named in `problems`."""
    data = toml.parse(text.read(path, 1 << 20)[0], shown(path.name))
    found, odd = [], {}
    for one in listed(data.get("datasets"), "datasets", path):
        for subset in listed(one.get("subsets"), "subsets", path):
            merged = {**group(data.get("general", {}), path), **{key: value for key, value in one.items() if key != "subsets"}, **subset}
            found.append(made(merged, path))
            odd |= differing(merged, dataset) if dataset else {}
    for key, sentence in sorted(odd.items()):
        problems.append(Problem(path, f"{shown(path.name)}: {sentence}", False, f"setting {key}"))
    return found


def listed(value, name, path):
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        raise UserError(f"{shown(path.name)} has no [[{name}]]; a dataset TOML has [[datasets]] with [[datasets.subsets]] in them.")
    return value


def group(value, path):
    if not isinstance(value, dict):
        raise UserError(f"{shown(path.name)}: [general] must be a group of settings.")
    return value


def made(merged, path):
    try:
        if not isinstance(merged["image_dir"], str):
            raise TypeError("image_dir")
        words = [str(merged.get(key, "") or "") for key in ("class_tokens", "caption_extension", "caption_prefix", "caption_suffix")]
        repeats = merged.get("num_repeats", 1)
        if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
            raise UserError(f"{shown(path.name)}: num_repeats is {repeats!r}; it must be a whole number from 1 on.")
        return Subset(merged["image_dir"], repeats, words[0], bool(merged.get("is_reg")), *words[1:])
    except (KeyError, TypeError):
        raise UserError(f"{shown(path.name)}: a subset has no image_dir; only folders of pictures are read.") from None


def differing(merged, dataset):
    """{key: sentence} of what the run does otherwise than the file says."""
    found = {}
    for key, value in merged.items():
        if key in RUN_WIDE:
            wanted = value[0] if isinstance(value, list) and len(set(map(str, value))) == 1 else value
            if wanted != getattr(dataset, key):
                found[key] = f"{key} is {value!r} there and {getattr(dataset, key)!r} in this run; set dataset.{key} if you want that."
        elif key not in KNOWN + HARMLESS:
            found[key] = f"{key} is not known here and has no effect."
    return found
