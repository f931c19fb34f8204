"""The words on the fields: constant English, unique in the tab, sentence case; translations hang on them.

A setting's label is declared with it; one that has none is made of the setting's key.
"""

from lib_sdtune.declaration import sections

WORDS = {"lr": "learning rate", "unet": "UNet", "reso": "resolution", "snr": "SNR", "ema": "EMA", "num": "number of", "vae": "VAE",
         "cfg": "CFG", "clip": "CLIP"}


def label(path, taken=(), declared=""):
    """The label of `section.field`: the declared one, else made of the key; the section stands in front where that is taken."""
    section, _, key = path.rpartition(".")
    words = declared or sentence(" ".join(WORDS.get(word, word) for word in key.split("_")))
    return words if words not in taken else f"{title(section)}: {words[0].lower()}{words[1:]}"


def title(section):
    from lib_sdtune.config import Config

    declared = sections(Config)
    return declared[section][1] if section in declared else sentence(section)


def method_titles():
    """The methods' names and what the tab calls them, in its order."""
    from lib_sdtune.methods import in_order

    return {method.name: method.title for method in in_order()}


def sentence(text):
    return text[:1].upper() + text[1:]
