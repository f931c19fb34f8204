"""Tensors put by in a file for a while, to be had back bit for bit without a second copy in memory.

No such file outlives the program, so nothing waits until the disk has it: a model that is put by would keep whoever
wants it waiting for seconds.
"""

from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

import torch

from lib_sdtune.errors import RunError
from lib_sdtune.formats import tensors as safetensors


class TensorBackup:
    """One such file. `checksums` are those of what was put by, by name; none as long as nothing was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checksums: dict[str, int] = {}

    def write(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write name -> tensor."""
        written = {}

        def fetched(name: str) -> torch.Tensor:
            tensor = tensors[name].detach().cpu()
            written[name] = checksum(tensor)
            return tensor

        safetensors.write(self.path, tensors, finite=False, values=fetched, durable=False)
        self.checksums = written

    def tensors(self) -> safetensors.Stored:
        """name -> tensor, each read from the disk when it is asked for."""
        return safetensors.Stored(self.path)

    def checked(self, name: str) -> torch.Tensor:
        """One of them. RunError if the disk gives back something else."""
        tensor = self.tensors()[name]
        if checksum(tensor) != self.checksums[name]:
            raise RunError(f"{self.path} does not hold what was written to it; check that disk.")
        return tensor

    def check(self) -> None:
        """Read all of it. RunError if the disk gives back something else."""
        for name in self.checksums:
            self.checked(name)

    def holds(self, tensors: Mapping[str, torch.Tensor]) -> bool:
        """Whether these are, bit for bit, what was put by."""
        return {name: checksum(tensor) for name, tensor in tensors.items()} == self.checksums

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self.checksums = {}


def checksum(tensor: torch.Tensor) -> int:
    return crc32(safetensors.raw(tensor))
