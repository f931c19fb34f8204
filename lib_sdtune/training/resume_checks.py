"""Whether a resumed run is the one that was begun: the same settings, checkpoint, pictures and words."""

import json
import logging
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from lib_sdtune.config import Config
from lib_sdtune.data.example import Picture
from lib_sdtune.data.scan import Scan
from lib_sdtune.errors import UserError
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.sections.dataset import SIDES

log = logging.getLogger("sdtune")
MAY_END_OTHERWISE = ("train", "stop")
MAY_CHANGE = ("save", "sample", "overwrite")
MAY_GROW = (("train", "max_train_steps"), ("train", "max_train_epochs"))


def keep_bucket_sides(config: Config, before: dict[str, Any]) -> None:
    """Sides that nobody set are those that the run was begun with: once they did not follow the resolution."""
    dataset = before.get("dataset", {})
    for key in set(SIDES) & set(dataset) - set(config.explicit.get("dataset", {})):
        setattr(config.dataset, key, dataset[key])


def refuse_changes(before: dict[str, Any], now: dict[str, Any]) -> None:
    """UserError naming the first setting that changed so that resuming would give something else than was begun."""
    for key in sorted(set(before) | set(now)):
        if key in MAY_CHANGE:
            continue
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            for inner in sorted(set(old) | set(new)):
                if old.get(inner) != new.get(inner) and not grew((key, inner), old.get(inner), new.get(inner)):
                    raise changed(f"{key}.{inner}", old.get(inner), new.get(inner))
        elif old != new:
            raise changed(key, old, new)


def grew(key: tuple[str, str], old: Any, new: Any) -> bool:
    return key == MAY_END_OTHERWISE or key in MAY_GROW and new > old > 0


def changed(key: str, old: Any, new: Any) -> UserError:
    return UserError(f'"{key}" was {brief(old)} when the run began and is {brief(new)} now, so it cannot be resumed. '
                     "Put it back, or start under another name.")


def brief(value: Any) -> str:
    """As JSON, cut where it is long; paths, which differ at their end, are whole."""
    text, most = json.dumps(value, ensure_ascii=False), 300 if isinstance(value, str) else 80
    return text if len(text) <= most else text[:most - 3] + "..."


def refuse_other_base_loras(before: str | None, now: str) -> None:
    """UserError where a LoRA that stays on the model is another file now; None: an earlier version did not keep it."""
    if before is not None and before != now:
        raise UserError('A LoRA of "model.base_loras" is another file now than when the run began, so it cannot be '
                        "resumed. Put the old file back, or start under another name.")


def model_identity(model: LoadedModel) -> dict[str, str]:
    """What a state keeps of a `LoadedModel`."""
    return {"name": model.name, "hash": model.hash}


def refuse_other_model(before: dict[str, str] | None, now: dict[str, str]) -> None:
    """UserError when the checkpoint is another one. before: None in states of versions that did not keep it."""
    if before and before["hash"] and now["hash"] and before["hash"] != now["hash"]:
        raise UserError(
            f"The run was begun on {before['name']} [{before['hash']}], and this is {now['name']} [{now['hash']}], "
            "so it cannot be resumed. Load the first one again, or start under another name."
        )


def data_fingerprint(scan: Scan) -> dict[str, Any]:
    """What a state keeps of a `Scan`: how many pictures, and what they and their words were."""
    pictures = [
        (picture.content, picture.repeats, picture.is_class, picture.concept, *mask_of(picture))
        for picture in scan.pictures
    ]
    words = [[picture.caption for picture in scan.pictures], sorted(scan.templates.items())]
    return {"count": len(pictures), "pictures": short_hash(pictures), "words": short_hash(words)}


def validation_key(scan: Scan, fresh: Sequence[int]) -> str:
    """What tells the pictures that are measured, those of these numbers, and their captions from others."""
    return short_hash([(scan.pictures[number].content, scan.pictures[number].caption) for number in fresh])


def mask_of(picture: Picture) -> list[str]:
    """The fingerprint of the mask beside a picture, if there is one."""
    return [picture.mask.content] if picture.mask else []


def short_hash(value: Any) -> str:
    return blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def refuse_other_data(before: dict[str, Any], now: dict[str, Any]) -> None:
    """UserError when the pictures are others, because every later step would learn from others; other words are only
    told.
    """
    if before["pictures"] != now["pictures"]:
        raise UserError(
            f"The pictures are not those that the run began with ({before['count']} then, {now['count']} now, or "
            "other ones), "
            "so it cannot be resumed. Put them back, or start under another name."
        )
    if before["words"] != now["words"]:
        log.warning("captions have changed since the run began; it goes on with the new ones")
