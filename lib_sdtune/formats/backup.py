"""Tensors put by in a file for a while, to be had back bit for bit without a second copy in memory."""

import hashlib

from lib_sdtune.errors import RunError
from lib_sdtune.formats import tensors as safetensors


class TensorBackup:
    """One such file. `digest` is that of what was put by, None as long as nothing was."""

    def __init__(self, path):
        self.path, self.digest = path, None

    def write(self, tensors):
        """Write name -> tensor, and read it again to be sure. RunError if the disk gives back something else."""
        safetensors.write(self.path, tensors, finite=False)
        self.digest = digest(tensors)
        if digest(self.tensors()) != self.digest:
            raise RunError(f"{self.path} does not hold what was written to it; check that disk.")

    def tensors(self):
        """name -> tensor, each read from the disk when it is asked for."""
        return safetensors.Stored(self.path)

    def delete(self):
        self.path.unlink(missing_ok=True)
        self.digest = None


def digest(tensors):
    """A hash of all names and bytes."""
    total = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(safetensors.raw(tensor))
    return total.hexdigest()
