"""Token merging leaves tokens out; a picture that was broken off can leave it switched on."""

from collections.abc import Iterator
from contextlib import contextmanager

from modules import sd_models
from torch import nn


@contextmanager
def off(sd_model: nn.Module) -> Iterator[None]:
    ratio = getattr(sd_model, "applied_token_merged_ratio", 0)
    sd_models.apply_token_merging(sd_model, 0)
    try:
        yield
    finally:
        sd_models.apply_token_merging(sd_model, ratio)
