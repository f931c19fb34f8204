"""Whether there is room for a run, found out before it starts: on the disks for all planned saves, in memory for a first step."""

import os
from pathlib import Path

import torch

from lib_sdtune.devices import index_of
from lib_sdtune.errors import TooLittleMemory, UserError
from lib_sdtune.formats.files import free_space
from lib_sdtune.training.memory.meter import of_proc

SPARE = 32 * 2**20  # bytes that stay free for logs and pictures


def refuse_too_little_disk(needs):
    """needs: [(folder, bytes), ...]. UserError when a disk cannot take all that is to be written to it."""
    by_disk = {}
    for folder, size in needs:
        by_disk.setdefault(os.stat(existing(folder)).st_dev, []).append((folder, size))
    for entries in by_disk.values():
        folder, needed = entries[0][0], sum(size for _, size in entries) + SPARE
        free = free_space(folder)
        if needed > free:
            raise UserError(f"The run needs about {amount(needed)} of disk space in {folder} and {amount(free)} are free. "
                            "Make room, or save less often.")


def existing(folder):
    folder = Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def refuse_too_little_memory(needed, device, optimizer):
    """TooLittleMemory when what the optimiser keeps does not fit beside the model; `needed` in bytes."""
    free = free_memory(device)
    if free is not None and needed > free:
        where = "GPU memory" if device.type == "cuda" else "memory"
        raise TooLittleMemory(f"Not even one step would fit: {optimizer} needs {amount(needed)} of {where} beside the model "
                              f"and {amount(free)} are free. "
                              'Choose Lion or AdamW8bit, set "dreambooth.weights" to "bfloat16", or train a LoRA instead.')


def free_memory(device):
    """Bytes that could still be taken on the device; None where that cannot be told."""
    if device.type == "cuda":
        number = index_of(device)
        return torch.cuda.mem_get_info(number)[0] + torch.cuda.memory_reserved(number) - torch.cuda.memory_allocated(number)
    return of_proc("/proc/meminfo", "MemAvailable") if device.type == "cpu" else None


def amount(count):
    return f"{count / 2**20:,.0f} MB" if count < 10 * 2**30 else f"{count / 2**30:,.1f} GB"
