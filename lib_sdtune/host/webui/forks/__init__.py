"""The ways in which a WebUI keeps its loaded model: A1111's own, and those of the forks that load its extensions.

A fork's name says little and its version less, so it is recognised by the modules that it has.
"""

import functools
import sys

from lib_sdtune.host.webui.forks.stock import Stock


@functools.cache
def current() -> Stock:
    """What differs in the WebUI that runs."""
    from modules import sd_models

    if hasattr(sd_models, "forge_model_reload"):
        from lib_sdtune.host.webui.forks.backend import Backend

        return Backend()
    if "ldm_patched.modules.model_management" in sys.modules:
        from lib_sdtune.host.webui.forks.patched import Patched

        return Patched()
    return Stock()
