"""--upcast-sampling casts inside normalisation and feed-forward layers by a global switch; autocast does that here."""

from collections.abc import Iterator
from contextlib import contextmanager

from modules import devices
from torch import nn

from lib_sdtune.swap import replaced


@contextmanager
def off(sd_model: nn.Module) -> Iterator[None]:
    with replaced(devices, "unet_needs_upcast", False):
        yield
