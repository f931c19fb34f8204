"""Random number generators: a training must not change what the next picture draws."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch
from torch import nn


def states() -> tuple:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    return random.getstate(), numpy.random.get_state(), torch.get_rng_state(), cuda


def restore(before: tuple) -> None:
    python, numbers, cpu, cuda = before
    random.setstate(python)
    numpy.random.set_state(numbers)
    torch.set_rng_state(cpu)
    if cuda:
        torch.cuda.set_rng_state_all(cuda)


@contextmanager
def restored(sd_model: nn.Module) -> Iterator[None]:
    before = states()
    try:
        yield
    finally:
        restore(before)
