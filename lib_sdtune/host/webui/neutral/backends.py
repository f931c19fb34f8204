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


def determinism() -> tuple[bool, bool]:
    """(whether operators that are not deterministic are refused, whether that is a warning only)."""
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


@contextmanager
def restored(sd_model: nn.Module) -> Iterator[None]:
    before, deterministic, threads = read(), determinism(), torch.get_num_threads()
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
        if determinism() != deterministic:  # to set it imports torch's compiler, which takes seconds
            mode, warn_only = deterministic
            torch.use_deterministic_algorithms(mode, warn_only=warn_only)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
