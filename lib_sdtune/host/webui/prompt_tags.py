"""Tags of a prompt that the WebUI passes over without a word in the page, because it has no file of that name."""

import sys

from modules import shared

from lib_sdtune.formats import lookup
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.host.webui import folders
from lib_sdtune.prompts import tags


def unknown(prompt: str) -> list[str]:
    """Such as "<lora:style>"; tags of other kinds are other extensions' business."""
    known = {"lora": is_lora, "lyco": is_lora, "hypernet": is_hypernetwork}
    return [f"<{tag.kind}:{tag.name}>" for tag in tags(prompt)[1]
            if tag.kind in known and not known[tag.kind](tag.name)]


def is_lora(name: str) -> bool:
    """Whether the WebUI finds a LoRA, by its file's name or by the one inside; it looks at its folders anew for one
    that it does not know yet.
    """
    networks = sys.modules.get("networks")
    if networks is None:  # the built-in Lora extension is switched off
        return False
    listed = {**getattr(networks, "available_networks", {}), **getattr(networks, "available_network_aliases", {})}
    return name in listed or any(name in lookup.by_name(root, KINDS["lora"].endings) for root in folders.roots("lora"))


def is_hypernetwork(name: str) -> bool:
    """Whether it is in the WebUI's list, which is all that a prompt finds."""
    return name in getattr(shared, "hypernetworks", {})
