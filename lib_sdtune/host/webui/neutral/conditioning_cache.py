"""The WebUI finds encoded prompts again by their text alone: a new embedding or LoRA of an old name would not show."""

from collections.abc import Iterator
from contextlib import contextmanager

from modules.processing import StableDiffusionProcessing, StableDiffusionProcessingTxt2Img
from torch import nn

CACHES = (
    (StableDiffusionProcessing, "cached_c"),
    (StableDiffusionProcessing, "cached_uc"),
    (StableDiffusionProcessingTxt2Img, "cached_hr_c"),
    (StableDiffusionProcessingTxt2Img, "cached_hr_uc"),
)


def clear() -> None:
    for owner, name in CACHES:
        setattr(owner, name, [None] * len(getattr(owner, name)))  # forks keep a third entry


@contextmanager
def cleared(sd_model: nn.Module) -> Iterator[None]:
    clear()
    try:
        yield
    finally:
        clear()
