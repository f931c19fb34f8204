"""Hashes of files, as the WebUI counts them."""

import hashlib
from pathlib import Path


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hex; its first ten digits are the WebUI's short hash of a checkpoint."""
    return digest(path, 0)


def content(path: str | Path) -> str:
    """SHA-256 of what follows a safetensors header, in hex; its first twelve digits are the WebUI's short hash of a
    LoRA.
    """
    with open(path, "rb") as file:
        head = file.read(9)
    return digest(path, 8 + int.from_bytes(head[:8], "little") if head[8:] == b"{" else 0)


def digest(path: str | Path, start: int) -> str:
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        file.seek(start)
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()
