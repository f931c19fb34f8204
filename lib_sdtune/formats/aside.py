"""Tensors put by in a file for a while, to be had back bit for bit without a second copy in memory."""

import hashlib
from contextlib import contextmanager

from lib_sdtune.errors import RunError
from lib_sdtune.formats import tensors as safetensors


class Aside:
    """One such file. `digest` is that of what was put by, None as long as nothing was."""

    def __init__(self, path):
        self.path, self.digest = path, None

    def keep(self, tensors):
        """Write name -> tensor, and read it again to be sure. RunError if the disk gives back something else."""
        safetensors.write(self.path, tensors, finite=False)
        self.digest = digest(tensors)
        with self.opened() as kept:
            if digest(kept) != self.digest:
                raise RunError(f"{self.path} does not hold what was written to it; check that disk.")

    @contextmanager
    def opened(self):
        """name -> tensor, each read from the disk when it is asked for."""
        from safetensors import safe_open

        with safe_open(self.path, framework="pt") as file:
            yield Lazy(file)

    def drop(self):
        self.path.unlink(missing_ok=True)
        self.digest = None


class Lazy:
    """A mapping over an open safetensors file."""

    def __init__(self, file):
        self.file, self.names = file, set(file.keys())

    def __getitem__(self, name):
        return self.file.get_tensor(name)

    def __contains__(self, name):
        return name in self.names

    def __iter__(self):
        return iter(self.names)

    def items(self):
        return ((name, self[name]) for name in self.names)


def digest(tensors):
    """A hash of all names and bytes."""
    total = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(safetensors.raw(tensor))
    return total.hexdigest()
