"""Data-parallel training under torchrun: every process takes its own batches, gradients are averaged."""

import os
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar

import torch

from lib_sdtune import devices
from lib_sdtune.errors import RunError

T = TypeVar("T")
TIMEOUT = timedelta(days=1)  # the others wait while the first draws class pictures and samples, or for room on the disk
LOST = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe")  # what backends say of a lost process


def between_processes(method: Callable[..., T]) -> Callable[..., T]:
    """RunError where another process has gone meanwhile, in place of the backend's own words."""

    @wraps(method)
    def communicate(*args: Any) -> T:
        try:
            return method(*args)
        except RuntimeError as error:
            if not any(sign in str(error).lower() for sign in LOST):
                raise
            raise RunError("Another process of this run has ended, so this one ends too; what that process said tells "
                           "why.") from error

    return communicate


class World:
    """`rank` of `size` processes; a single process is a world of one, and then nothing is communicated."""

    def __init__(self) -> None:
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if self.size > 1 and torch.cuda.is_available():
            torch.cuda.set_device(devices.local_device(int(os.environ.get("LOCAL_RANK", 0))).index)
        if self.size > 1 and not torch.distributed.is_initialized():
            backend = "nccl" if torch.cuda.is_available() else "gloo"
            torch.distributed.init_process_group(backend, timeout=TIMEOUT)

    @between_processes
    def barrier(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            torch.distributed.barrier()

    @property
    def is_main_process(self) -> bool:
        """Whether this process, the first, writes the files."""
        return self.rank == 0

    @between_processes
    def average(self, params: list[torch.Tensor]) -> None:
        """Replace every gradient by its mean over the processes, in one message.

        What no process has a gradient for stays without one, as in a single process: an optimizer would let it decay.
        """
        if self.size == 1:
            return
        learning = self.with_gradients(params)
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in learning]
        if not grads:
            return
        flat = torch.cat([g.flatten() for g in grads])
        torch.distributed.all_reduce(flat)
        for p, mean in zip(learning, flat.div_(self.size).split([g.numel() for g in grads]), strict=True):
            p.grad = mean.view_as(p)

    @between_processes
    def with_gradients(self, params: list[torch.Tensor]) -> list[torch.Tensor]:
        """Those of the parameters for which some process has a gradient."""
        if not params:
            return []
        present = torch.tensor([p.grad is not None for p in params], dtype=torch.uint8, device=params[0].device)
        torch.distributed.all_reduce(present, torch.distributed.ReduceOp.MAX)
        return [p for p, has_gradient in zip(params, present.tolist(), strict=True) if has_gradient]

    @between_processes
    def all_gather(self, rows: torch.Tensor, most: int) -> torch.Tensor:
        """The rows (n, k) of all processes in their order, each process' filled up to `most` with -1."""
        filled = torch.nn.functional.pad(rows, (0, 0, 0, most - len(rows)), value=-1)
        gathered = [torch.empty_like(filled) for _ in range(self.size)]
        torch.distributed.all_gather(gathered, filled)
        return torch.cat(gathered)

    @between_processes
    def broadcast(self, value: T) -> T:
        """The value that the main process has, in all of them."""
        if self.size == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]
