"""Presets by name: the built-in ones, and those that somebody saved in the tab over the same data folder."""

import sys
from typing import Any

from lib_sdtune import presets
from lib_sdtune.cli.run_folders import embedded_host
from lib_sdtune.errors import UserError
from lib_sdtune.registry import nearest
from lib_sdtune.services.own_presets import OwnPresets


def own_presets(data_dir: str) -> OwnPresets:
    return OwnPresets(lambda: embedded_host(data_dir).folder("sdtune"))


def settings_of(name: str, data_dir: str) -> dict[str, Any]:
    """The settings of a preset, nested; an own one goes before a built-in one of that name. UserError."""
    own = own_presets(data_dir)
    if name in own.names():
        if name in presets.names():
            print(f"Note: the preset {name!r} is the one saved in the tab, {own.folder / name}.json, not the built-in "
                  "one of that name.", file=sys.stderr)
        return own.load(name)["settings"]
    names = [*presets.names(), *own.names()]
    if name not in names:
        raise UserError(f"There is no preset called {name!r}{nearest(name, names)}; there are: {', '.join(names)}.")
    return presets.load(name)["settings"]


def tell_other_family(name: str, data_dir: str, model: dict[str, str]) -> None:
    """Say that a preset is for models of another family than the one that is trained (see `Host.about`)."""
    own = own_presets(data_dir)
    family = (own if name in own.names() else presets).load(name)["family"]
    if family and model["family"] and family != model["family"].lower():
        suited = [other for other in presets.names() if presets.load(other)["family"] == model["family"].lower()]
        print(f"Note: the preset {name!r} is for {family.upper()} models, and {model['model']} is of the family "
              f"{model['family']}, which its resolution and rates may not suit; those for it: {', '.join(suited)}.",
              file=sys.stderr)
