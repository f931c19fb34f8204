"""Memory that is free on a device, and whether a first step fits into it."""

import torch

from lib_sdtune.devices import index_of
from lib_sdtune.errors import TooLittleMemory
from lib_sdtune.formats.files import amount
from lib_sdtune.training.memory.meter import of_proc


def refuse_too_little_memory(needed: int, device: torch.device, optimizer: str) -> None:
    """TooLittleMemory when what the optimiser keeps does not fit beside the model; `needed` in bytes."""
    free = free_memory(device)
    if free is not None and needed > free:
        where = "GPU memory" if device.type == "cuda" else "memory"
        raise TooLittleMemory(
            f"Not even one step would fit: {optimizer} needs {amount(needed)} of {where} beside the model "
            f"and {amount(free)} are free. "
            'Choose Lion or AdamW8bit, set "dreambooth.weights" to "bfloat16", or train a LoRA instead.'
        )


def free_memory(device: torch.device) -> int | None:
    """Bytes that could still be taken on the device; None where that cannot be told."""
    if device.type == "cuda":
        number = index_of(device)
        return (
            torch.cuda.mem_get_info(number)[0]
            + torch.cuda.memory_reserved(number)
            - torch.cuda.memory_allocated(number)
        )
    return of_proc("/proc/meminfo", "MemAvailable") if device.type == "cpu" else None
