"""The page for pictures and captions: an empty frame that carries the declared settings; javascript/ draws it."""

import dataclasses
import json
from html import escape
from typing import Any

from lib_sdtune.ui.fields import Field, describe

OFTEN = ("resize", "resolution", "crop", "background", "cut_out", "masks", "split", "flip")


def html() -> str:
    return f'<div id="sdtune_workshop" data-facts="{escape(json.dumps(facts()))}"></div>'


def facts() -> dict[str, Any]:
    """{"prepare": [field], "captioners": [{"name", "label", "fields"}]}: everything that is declared and typed in."""
    from lib_sdtune.data.captioners import registry
    from lib_sdtune.data.prepare.settings import PrepareConfig

    prepare = [field | {"often": field["name"] in OFTEN} for field in fields("prepare", PrepareConfig)]
    captioners = [{"name": name, "label": captioner.label, "fields": fields(name, captioner.Options)}
                  for name, captioner in registry]
    return {"prepare": prepare, "captioners": captioners}


def fields(section: str, cls: type) -> list[dict[str, Any]]:
    """The settings of a declared class as the page's scripts want them; what is ticked stands together, at the end."""
    described = [describe(f"{section}.{setting.name}", cls, setting) for setting in dataclasses.fields(cls)]
    return sorted(map(as_dict, described), key=lambda field: field["kind"] == "bool")


def as_dict(field: Field) -> dict[str, Any]:
    return {"name": field.path.rpartition(".")[2], "kind": field.kind, "label": field.label, "info": field.info,
            "default": field.default, "choices": list(field.choices), "low": field.low, "high": field.high}
