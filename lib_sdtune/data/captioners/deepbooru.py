"""Danbooru tags, by the WebUI's own DeepBooru."""

from dataclasses import dataclass

from lib_sdtune.data.captioners import Hosted, registry
from lib_sdtune.declaration import option


@registry.register("deepbooru")
class DeepBooru(Hosted):
    label = "DeepBooru (tags)"

    @dataclass
    class Options:
        """Which tags, and how they are written."""

        threshold: float = option(0.5, "0.5; less finds more tags, and more wrong ones.", low=0, high=1)
        sort_alpha: bool = option(False, "Alphabetical; otherwise the surest tag is first.", label="Sort by alphabet")
        use_spaces: bool = option(True, "Spaces instead of underscores.", label="Spaces for underscores")
