"""The encoded prompts that the WebUI keeps are filed by text alone; a new embedding or LoRA of an old name would not show."""

from contextlib import contextmanager

from modules.processing import StableDiffusionProcessing, StableDiffusionProcessingTxt2Img

CACHES = (
    (StableDiffusionProcessing, "cached_c"),
    (StableDiffusionProcessing, "cached_uc"),
    (StableDiffusionProcessingTxt2Img, "cached_hr_c"),
    (StableDiffusionProcessingTxt2Img, "cached_hr_uc"),
)


def clear():
    for owner, name in CACHES:
        setattr(owner, name, [None, None])


@contextmanager
def cleared(sd_model):
    clear()
    try:
        yield
    finally:
        clear()
