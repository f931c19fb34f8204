"""How much memory was held at most between two moments: of the GPU, or of this process where the CPU trains."""

import sys

import torch

from lib_sdtune.devices import index_of


class Meter:
    """`begin()`, then work, then `peak()` in bytes; None where this machine cannot tell."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def begin(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(index_of(self.device))
        else:
            forget_peak()

    def peak(self) -> int | None:
        return (
            torch.cuda.max_memory_allocated(index_of(self.device)) if self.device.type == "cuda" else process("VmHWM")
        )


def capacity(device: torch.device) -> int | None:
    """Bytes that this process could hold in all on the device, what it holds already included; None where that cannot
    be told.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(index_of(device))[0] + torch.cuda.memory_reserved(index_of(device))
    used, free = process("VmRSS"), of_proc("/proc/meminfo", "MemAvailable")
    return None if used is None or free is None else used + free


def process(key: str) -> int | None:
    """A figure of this process's /proc entry in bytes: VmRSS is what it holds, VmHWM the most that it held."""
    return of_proc("/proc/self/status", key)


def of_proc(path: str, key: str) -> int | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith(f"{key}:")), None)
    except OSError:
        return None


def forget_peak() -> None:
    """Linux: from now on VmHWM is the most that is held from now on (proc(5), clear_refs)."""
    if sys.platform.startswith("linux"):
        try:
            with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
                file.write("5")
        except OSError:
            return  # not allowed here: the figure is then that of the whole life of the process
