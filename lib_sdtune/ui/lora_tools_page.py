"""The page for finished LoRAs: an empty frame that carries the tools' declared settings; javascript/ draws it."""

import json
from html import escape
from typing import Any

from lib_sdtune.lora_tools.settings import TOOLS
from lib_sdtune.ui.pictures_page import fields


def html() -> str:
    return f'<div id="sdtune_lora_tools" data-facts="{escape(json.dumps(facts()))}"></div>'


def facts() -> dict[str, list[dict[str, Any]]]:
    """{tool: [field]}"""
    return {tool: fields(tool, settings) for tool, settings in TOOLS.items()}
