"""Puts the Lora extension's forwards in, and takes them out when the page is built anew."""

import networks
from modules import patches


class LoraPatches:
    def __init__(self):
        for kind, forward in networks.forwards.items():
            setattr(self, kind.__name__, patches.patch("lora_patches", kind, "forward", forward))

    def undo(self):
        for kind in networks.forwards:
            setattr(self, kind.__name__, patches.undo("lora_patches", kind, "forward"))
