"""The ways in which a WebUI keeps its loaded model: A1111's own, and those of the forks that load its extensions.

A fork's name says little and its version less, so the dialect is told by what is there.
"""

import functools
import sys

from lib_sdtune.host.webui.dialects.stock import Stock


@functools.cache
def current() -> Stock:
    """The dialect of the WebUI that runs."""
    from modules import sd_models

    if hasattr(sd_models, "forge_model_reload"):
        from lib_sdtune.host.webui.dialects.backend import Backend

        return Backend()
    if "ldm_patched.modules.model_management" in sys.modules:
        from lib_sdtune.host.webui.dialects.patched import Patched

        return Patched()
    return Stock()
