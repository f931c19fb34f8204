"""Switches of torch that hold for the whole process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def read() -> list[tuple[Any, str, bool]]:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return [
        (cudnn, "benchmark", cudnn.benchmark),
        (cudnn, "deterministic", cudnn.deterministic),
        (cudnn, "allow_tf32", cudnn.allow_tf32),
        (matmul, "allow_tf32", matmul.allow_tf32),
    ]


@contextmanager
def restored(sd_model: nn.Module) -> Iterator[None]:
    before = read()
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
        torch.use_deterministic_algorithms(deterministic)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
