"""The host without a WebUI: our own modules, and folders laid out like the WebUI's."""

from lib_sdtune.host.embedded.host import EMBEDDED, EmbeddedHost

__all__ = ["EMBEDDED", "EmbeddedHost"]
