"""Memory that is free on a device, and whether a first step fits into it."""

import torch

from lib_sdtune import optim
from lib_sdtune.config import Config
from lib_sdtune.devices import index_of
from lib_sdtune.errors import TooLittleMemory
from lib_sdtune.formats.files import amount
from lib_sdtune.training.memory.meter import of_proc


def refuse_too_little_memory(needed: int, device: torch.device, config: Config) -> None:
    """TooLittleMemory when what the optimizer keeps does not fit beside the model; `needed` in bytes."""
    free = free_memory(device)
    if free is not None and needed > free:
        where = "GPU memory" if device.type == "cuda" else "memory"
        fact = (f"Not even one step would fit: {config.train.optimizer} needs {amount(needed)} of {where} beside the "
                f"model and {amount(free)} are free.")
        raise TooLittleMemory(" ".join([fact, *smaller(config)]))


def refuse_too_little_main_memory(needed: int, config: Config) -> None:
    """TooLittleMemory when what is kept in the computer's memory beside a model on a GPU does not fit; `needed` in
    bytes. A Linux that promises more than it has ends the whole program later.
    """
    free = free_memory(torch.device("cpu"))
    if free is not None and needed > free:
        raise TooLittleMemory(
            f"Not even one step would fit: the running average of the weights needs {amount(needed)} of the computer's "
            f'memory (RAM) and {amount(free)} are free. Set "{config.method}.ema_decay" to 0, or close what else uses '
            "it.")


def smaller(config: Config) -> list[str]:
    """What would need less, in sentences; nothing that is chosen already."""
    choices = ["Choose Lion or AdamW8bit, which remember less."]
    if optim.bytes_of(config.train.optimizer) <= optim.bytes_of("Lion"):
        choices = []
    if getattr(config.settings, "weights", "bfloat16") != "bfloat16":
        choices.append(f'Set "{config.method}.weights" to "bfloat16", which needs half of the memory.')
    if hasattr(config.settings, "dim"):
        return [*choices, "Choose a smaller dim, or close what else uses the memory."]
    return [*choices, "Train a LoRA instead, or close what else uses the memory."]


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
