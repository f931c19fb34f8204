"""The page for pictures and captions: an empty frame that carries the declared settings; javascript/ draws it."""

import dataclasses
import json
from html import escape

from lib_sdtune.ui.fields import describe

OFTEN = ("resize", "resolution", "crop", "background", "cut_out", "split", "flip")


def html():
    return f'<div id="sdtune_workshop" data-facts="{escape(json.dumps(facts()))}"></div>'


def facts():
    """{"prepare": [field], "captioners": [{"name", "label", "fields"}]}: everything that is declared and typed in."""
    from lib_sdtune.data.captioners import registry
    from lib_sdtune.data.prepare.settings import PrepareConfig

    prepare = [one | {"often": one["name"] in OFTEN} for one in fields("prepare", PrepareConfig)]
    captioners = [{"name": name, "label": entry.label, "fields": fields(name, entry.Options)} for name, entry in registry]
    return {"prepare": prepare, "captioners": captioners}


def fields(section, cls):
    """The settings of a declared class as the page's scripts want them."""
    found = [shown(describe(f"{section}.{field.name}", cls, field, ())) for field in dataclasses.fields(cls)]
    return sorted(found, key=lambda field: field["kind"] == "bool")  # what is ticked stands together


def shown(field):
    return {"name": field.path.rpartition(".")[2], "kind": field.kind, "label": field.label, "info": field.info, "default": field.default,
            "choices": list(field.choices), "low": field.low, "high": field.high}
