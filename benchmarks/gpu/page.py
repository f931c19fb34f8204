"""What is said of the machine."""

import torch

from lib_sdtune.devices import total_memory


def describe_device(device: torch.device) -> str:
    if device.type != "cuda":
        return "CPU"
    return f"{torch.cuda.get_device_name(device)}, {total_memory(device) / 2**30:.0f} GiB"
