"""Tiling makes every convolution wrap around, and stays on after the picture that asked for it."""

from contextlib import contextmanager

from modules.sd_hijack import model_hijack


@contextmanager
def off(sd_model):
    circular = model_hijack.circular_enabled
    model_hijack.apply_circular(False)
    try:
        yield
    finally:
        model_hijack.apply_circular(circular)
