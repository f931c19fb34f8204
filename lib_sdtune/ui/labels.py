"""The words on the fields: constant English, unique in the tab, sentence case; translations hang on them.

A setting's label is declared with it; one that has none is made of the setting's key.
"""

from collections.abc import Collection
from typing import Any

from lib_sdtune.declaration import sections
from lib_sdtune.formats.kinds import KINDS

WORDS = {"lr": "learning rate", "unet": "UNet", "reso": "resolution", "snr": "SNR", "ema": "EMA", "num": "number of",
         "vae": "VAE", "cfg": "CFG", "clip": "CLIP"}


def label(path: str, used: Collection[str] = (), declared: str = "") -> str:
    """The label of `section.field`: the declared one, else made of the key, behind the section's where it is `used`."""
    section, _, key = path.rpartition(".")
    words = declared or sentence(" ".join(WORDS.get(word, word) for word in key.split("_")))
    return words if words not in used else f"{title(section)}: {words[0].lower()}{words[1:]}"


def title(section: str) -> str:
    from lib_sdtune.config import Config

    declared = sections(Config)
    return declared[section][1] if section in declared else sentence(section)


def methods(usable: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """{name: {"title", "tag", "cards", "word", "usable"}} of every method, in the tab's order, as the page's scripts
    take it. usable: the names of those that can be chosen.
    """
    from lib_sdtune.methods import in_order

    return {method.name: {"title": method.title, "tag": KINDS[method.kind].tag, "cards": KINDS[method.kind].cards,
                          "word": method.teaches_word, "usable": method.name in usable} for method in in_order()}


def kinds() -> dict[str, str]:
    """{kind of file: title}, as the page's scripts know them."""
    return {name: sentence(kind.noun) for name, kind in KINDS.items()}


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
