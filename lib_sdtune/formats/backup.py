"""Tensors put by in a file for a while, to be had back bit for bit without a second copy in memory."""

from collections.abc import Mapping
from pathlib import Path

import torch

from lib_sdtune.errors import RunError
from lib_sdtune.formats import tensors as safetensors


class TensorBackup:
    """One such file. `digest` is that of what was put by, None as long as nothing was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.digest: str | None = None

    def write(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write name -> tensor, and read it again to be sure. RunError if the disk gives back something else."""
        safetensors.write(self.path, tensors, finite=False)
        self.digest = safetensors.digest(tensors)
        if safetensors.digest(self.tensors()) != self.digest:
            raise RunError(f"{self.path} does not hold what was written to it; check that disk.")

    def tensors(self) -> safetensors.Stored:
        """name -> tensor, each read from the disk when it is asked for."""
        return safetensors.Stored(self.path)

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self.digest = None
