"""Switches of torch that hold for the whole process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

Switch = tuple[Any, str]


def read() -> list[tuple[Any, str, Any]]:
    """(object, attribute, value) of each."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return [
        (cudnn, "benchmark", cudnn.benchmark),
        (cudnn, "deterministic", cudnn.deterministic),
        *tf32(cudnn, [(getattr(cudnn, name, None), "fp32_precision") for name in ("conv", "rnn")]),
        *tf32(matmul, [(matmul, "fp32_precision")]),
    ]


def tf32(owner: Any, successors: Sequence[Switch]) -> list[tuple[Any, str, Any]]:
    """Whether float32 is rounded to TF32. torch since 2.9 has `successors` for `allow_tf32`, and where somebody has
    used those it refuses to read that.
    """
    try:
        return [(owner, "allow_tf32", owner.allow_tf32)]
    except RuntimeError:
        return [(successor, name, getattr(successor, name)) for successor, name in successors]


@contextmanager
def restored(sd_model: nn.Module) -> Iterator[None]:
    before = read()
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
