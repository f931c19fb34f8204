"""Chance as a function of (seed, purpose, numbers), never of history.

A resumed run draws what the uninterrupted one would have drawn, and no generator state is ever saved.
"""

import hashlib
import random

import torch

from lib_sdtune import devices


def mix(seed: int, purpose: str, *numbers: object) -> int:
    """A 63-bit integer that depends on every argument, the same on every platform."""
    text = "/".join(str(part) for part in (seed, purpose, *numbers))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, purpose: str, *numbers: object) -> torch.Generator:
    """A CPU `torch.Generator` for tensors."""
    return torch.Generator().manual_seed(mix(seed, purpose, *numbers))


def rng(seed: int, purpose: str, *numbers: object) -> random.Random:
    """A `random.Random` for choices, shuffles and single floats."""
    return random.Random(mix(seed, purpose, *numbers))


def seed_layers(device: torch.device, seed: int, purpose: str, *numbers: object) -> None:
    """Fix what layers draw by themselves on `device`, such as dropout."""
    devices.manual_seed(device, mix(seed, purpose, *numbers))
