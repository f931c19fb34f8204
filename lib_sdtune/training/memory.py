"""Memory and time: recomputing activations where memory is short, and a calmer heap where the CPU trains."""

import ctypes
import sys
from contextlib import contextmanager

import torch
from torch.utils.checkpoint import checkpoint


def wants_checkpointing(setting, device):
    """"auto" saves memory on GPUs with less than 20 GB; a CPU has the room and lacks the speed."""
    if setting != "auto":
        return setting == "on"
    return device.type == "cuda" and torch.cuda.get_device_properties(device).total_memory < 20 * 2**30


def blocks(unet):
    """The parts worth recomputing: every residual block and every transformer block of a UNet with LDM's names."""
    return [m for m in unet.modules() if hasattr(m, "emb_layers") or (hasattr(m, "attn1") and hasattr(m, "attn2"))]


@contextmanager
def checkpointed(unet, on):
    """While entered, the blocks' activations are recomputed (non-reentrant, so gradients reach add-ons inside)."""
    changed = blocks(unet) if on else []
    own = [block.__dict__.get("forward") for block in changed]
    for block in changed:
        block.forward = recomputing(block.forward)
    try:
        yield
    finally:
        for block, forward in zip(changed, own, strict=True):
            if forward is None:
                del block.forward
            else:
                block.forward = forward


def recomputing(forward):
    def wrapped(*args, **kwargs):
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return wrapped


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h
GLIBC_DEFAULTS = {M_TRIM_THRESHOLD: 128 * 1024, M_MMAP_MAX: 65536}


@contextmanager
def steady_heap(device):
    """On a Linux CPU, let glibc keep large blocks instead of asking the kernel for zeroed pages at every tensor.

    That alone is a tenth of a training step there. On exit the defaults are back and unused memory is returned.
    """
    libc = glibc() if device.type == "cpu" else None
    if libc is None:
        yield
        return
    try:
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        yield
    finally:
        for parameter, value in GLIBC_DEFAULTS.items():
            libc.mallopt(parameter, value)
        libc.malloc_trim(0)


def glibc():
    """The C library if it is glibc, else None."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") and hasattr(libc, "mallopt") else None
