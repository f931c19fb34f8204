"""Where the modules are: all of them on the device while training, whatever --medvram or "unload" did with them."""

from collections.abc import Iterator
from contextlib import contextmanager

from modules import devices, lowvram, shared
from torch import nn

from lib_sdtune.errors import UserError
from lib_sdtune.host.webui.parts import parts


def refuse_lowvram() -> None:
    if shared.cmd_opts.lowvram:
        raise UserError("--lowvram keeps only pieces of the model on the GPU; start the WebUI with --medvram or "
                        "without, then start again.")


@contextmanager
def on_device(sd_model: nn.Module) -> Iterator[None]:
    refuse_lowvram()
    shuttled = getattr(sd_model, "lowvram", False)  # the WebUI's word for either flag
    if shuttled:
        lowvram.send_everything_to_cpu()
    moved = [(module, device) for module in parts(sd_model)
             if (device := next(module.parameters()).device) != devices.device]
    for module, _ in moved:
        module.to(devices.device)
    try:
        yield
    finally:
        for module, device in moved:
            module.to(device)
        if moved:
            devices.torch_gc()
