"""Where the modules are: on the device while training, whatever --medvram or "unload" did with them. Those that a run
does not ask for at its steps stay where --medvram keeps them.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from modules import devices, shared
from torch import nn

from lib_sdtune.errors import UserError
from lib_sdtune.host.webui.parts import parts


def refuse_lowvram() -> None:
    if getattr(shared.cmd_opts, "lowvram", False):
        raise UserError("--lowvram keeps only pieces of the model on the GPU; start the WebUI with --medvram or "
                        "without, then start again.")


@contextmanager
def on_device(sd_model: nn.Module, idle: Collection[str] = ()) -> Iterator[None]:
    """Inside, the parts are on the device, but for the `idle` ones where the WebUI shuttles its parts; afterwards all
    are where they were, wherever a run has left them.
    """
    refuse_lowvram()
    shuttled = getattr(sd_model, "lowvram", False)  # the WebUI's word for either flag
    if shuttled:
        from modules import lowvram

        lowvram.send_everything_to_cpu()
    elsewhere = [(name, module, device) for name, module in parts(sd_model).items()
                 if (device := next(module.parameters()).device).type != devices.device.type]
    try:
        for name, module, _ in elsewhere:
            if not (shuttled and name.startswith(tuple(idle))):
                module.to(devices.device)
        yield
    finally:
        for _, module, device in elsewhere:
            module.to(device)
        if elsewhere:
            devices.torch_gc()


def offloaded(sd_model: nn.Module) -> list[nn.Module]:
    """The parts that are not on the device."""
    return [
        module for module in parts(sd_model).values() if next(module.parameters()).device.type != devices.device.type
    ]
