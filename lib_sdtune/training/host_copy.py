"""Device numbers copied to the host without waiting: the copy is queued behind the kernels that make them."""

from collections.abc import Sequence

import torch


class HostCopy:
    """Tensors, or numbers that are here already; `numbers()` waits until all of them are."""

    def __init__(self, values: Sequence[torch.Tensor | float]) -> None:
        tensors = [value.detach().reshape(-1).float() for value in values if isinstance(value, torch.Tensor)]
        self.values, self.sizes = list(values), [len(tensor) for tensor in tensors]
        self.event: torch.cuda.Event | None = None
        self.copy = torch.cat(tensors) if tensors else torch.zeros(0)
        if self.copy.device.type == "cuda":
            host = torch.empty(self.copy.shape).pin_memory()
            with torch.cuda.device(self.copy.device):  # the current one can be another: the WebUI's --device-id
                self.copy = host.copy_(self.copy, non_blocking=True)
                self.event = torch.cuda.Event()
                self.event.record()

    def wait(self) -> None:
        """Until they are here."""
        if self.event is not None:
            self.event.synchronize()
            self.event = None

    def numbers(self) -> list[list[float]]:
        """A list of numbers for each of the values."""
        self.wait()
        fetched = iter(self.copy.split(self.sizes))
        return [next(fetched).tolist() if isinstance(value, torch.Tensor) else [value] for value in self.values]
