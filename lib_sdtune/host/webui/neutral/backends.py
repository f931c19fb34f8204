"""Switches of torch that hold for the whole process."""

from contextlib import contextmanager

import torch


def read():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return [
        (cudnn, "benchmark", cudnn.benchmark),
        (cudnn, "deterministic", cudnn.deterministic),
        (cudnn, "allow_tf32", cudnn.allow_tf32),
        (matmul, "allow_tf32", matmul.allow_tf32),
    ]


@contextmanager
def kept(sd_model):
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
