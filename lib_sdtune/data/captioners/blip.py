"""A sentence, by the WebUI's own BLIP."""

from lib_sdtune.data.captioners import Hosted, registry


@registry.register("blip")
class BLIP(Hosted):
    label = "BLIP (a sentence)"
