"""The Stable Diffusion WebUI as host; the only place that imports its `modules`."""

from lib_sdtune.host.webui.host import WebUIHost

__all__ = ["WebUIHost"]
