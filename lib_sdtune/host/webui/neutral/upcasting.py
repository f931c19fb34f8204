"""--upcast-sampling casts inside normalisation and feed-forward layers by a process-wide switch; autocast does that here."""

from contextlib import contextmanager

from modules import devices

from lib_sdtune.host.webui.swap import replaced


@contextmanager
def off(sd_model):
    with replaced(devices, "unet_needs_upcast", False):
        yield
