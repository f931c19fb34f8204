"""Weights stored in eight bits cannot be trained on: their gradients have no meaning."""

from contextlib import contextmanager

from lib_sdtune.errors import UserError


@contextmanager
def trainable(sd_model):
    if any("float8" in str(weight.dtype) for weight in sd_model.parameters()):
        raise UserError("The checkpoint is stored as FP8; set Settings > Optimizations > FP8 weight to Disable, then start again.")
    yield
