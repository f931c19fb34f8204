"""Folders of pictures that have moved since a run began: it goes on where the pictures in them are the same."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from lib_sdtune.config import Config
from lib_sdtune.data import held_out
from lib_sdtune.data.scan import scan
from lib_sdtune.errors import UserError
from lib_sdtune.methods import registry as methods
from lib_sdtune.sections.concept import Concept
from lib_sdtune.training import resume_checks
from lib_sdtune.training.resume_checks import changed

VALIDATION = "validation.images"


def folders(settings: Mapping[str, Any]) -> dict[str, str]:
    """setting -> path of every folder of pictures in a run's settings, a nested dict."""
    concepts = {f"concepts[{number}].{key}": concept.get(key, "") for number, concept in enumerate(settings["concepts"])
                for key in Concept.FOLDERS}
    return concepts | {VALIDATION: settings.get("validation", {}).get("images", "")}


def moves(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """setting -> (path when the run began, path now) of every folder that is named both times, and otherwise."""
    old, new = folders(before), folders(now)
    return {key: (old[key], new[key]) for key in old.keys() & new.keys()
            if old[key] and new[key] and old[key] != new[key]}


def with_moves(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `before` with the folders that have moved as they are named now."""
    settings = deepcopy(dict(before))
    for key, (_, path) in moves(before, now).items():
        part, name = part_of(settings, key)
        part[name] = path
    return settings


def part_of(settings: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """(the part of the settings that holds it, its name there) of what `folders` calls `key`."""
    if key == VALIDATION:
        return settings["validation"], "images"
    number, name = key.removeprefix("concepts[").split("].")
    return settings["concepts"][int(number)], name


def named_anew(settings: Mapping[str, Any], places: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with folders of theirs in other places. places: {"images": [a path for each concept, in their order,
    or null]}, and what `folders` calls them -> a path. UserError for any other key.
    """
    renamed, known = deepcopy(dict(settings)), folders(settings)
    images = places.get("images", [])
    if not isinstance(images, list) or len(images) > len(renamed["concepts"]):
        raise UserError('"images" must be a list of folders, one for each concept of the run in their order; it has '
                        f"{len(renamed['concepts'])}.")
    named = {f"concepts[{number}].images": path for number, path in enumerate(images) if path is not None}
    named |= {key: path for key, path in places.items() if key != "images"}
    for key, path in named.items():
        if key not in known:
            raise UserError(f'"{key}" is no folder of the run; it has: images, {", ".join(known)}.')
        if not isinstance(path, str) or not path.strip():
            raise UserError(f'"{key}" must be the path of a folder.')
        part, name = part_of(renamed, key)
        part[name] = path
    return renamed


def refuse_missing(settings: Mapping[str, Any], order: str = "resume") -> None:
    """UserError naming the first folder of pictures that is not there any more, and how a run goes on without it.

    order: "resume" or "retry", which the run was given.
    """
    for key, path in folders(settings).items():
        if path and not key.endswith("class_images") and not Path(path).exists():
            raise UserError(
                f'"{key}" is {path}, which is not there any more. Put it back; or, where it has moved, go on with '
                f'its new place: by HTTP, POST /sdtune/v1/runs/{settings["name"]}/{order} with the body '
                f'{{"{key}": "PATH"}}, or on the command line, train CONFIG --resume with the new place in CONFIG.'
            )


def refuse_other_pictures(before: Mapping[str, Any], config: Config, training_state: Mapping[str, Any],
                          template_folders: Sequence[Path]) -> None:
    """UserError naming a folder that has moved, unless the state tells that it holds what it held.

    before: the settings that the run was begun with; training_state: what its state keeps.
    """
    moved = moves(before, config.to_dict())
    if not moved:
        return
    sameness, key = training_state.get("sameness"), min(moved)
    if sameness is None:
        raise changed(key, *moved[key])
    pictures = scan(config.concepts, config.dataset, config.loss, Path.cwd(), template_folders=template_folders)
    methods[config.method].prepare_data(config, pictures)
    if key != VALIDATION and resume_checks.data_fingerprint(pictures)["pictures"] != sameness["pictures"]:
        raise changed(key, *moved[key])
    if VALIDATION in moved:
        measured, fresh = held_out.read(config, pictures, Path.cwd(), template_folders=template_folders)
        if training_state.get("inputs", {}).get("validation") != resume_checks.validation_key(measured, fresh):
            raise changed(VALIDATION, *moved[VALIDATION])
