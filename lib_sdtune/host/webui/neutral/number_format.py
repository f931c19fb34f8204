"""The WebUI casts what the UNet reads to the number format that it loaded the weights in. While a training computes in
float32 the weights are in that, and so must be what meets them.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from modules import devices
from torch import nn

from lib_sdtune.devices import HALVES
from lib_sdtune.swap import replaced


@contextmanager
def of_weights(sd_model: nn.Module) -> Iterator[None]:
    """In every forward, timestep embeddings (`devices.dtype_unet`) and, where ldm casts it, the input of the UNet
    (`use_fp16`, its `dtype`) are in the format that the weights have at that moment.
    """
    unet: Any = sd_model.model.diffusion_model
    places = [(place, name) for place, name in ((devices, "dtype_unet"), (unet, "dtype"))
              if vars(place).get(name) in HALVES]

    def follow(module: nn.Module, inputs: tuple) -> None:
        for place, name in places:
            setattr(place, name, next(module.parameters()).dtype)

    with ExitStack() as stack:
        for place, name in places:
            stack.enter_context(replaced(place, name, vars(place)[name]))
        if places:
            stack.callback(unet.register_forward_pre_hook(follow).remove)
        yield
