"""What the kohya_ss GUI has where its file does not mention a setting (bmaltais/kohya_ss at 45088f04).

Opening a file there leaves what it does not hold as it stands on the page, so the page's own defaults count, not those
of sd-scripts. Defaults that changed from version to version, such as those of lengths and of the text encoder's rate,
are left to sd-scripts.
"""

from collections.abc import Container
from typing import Any

COMMON = {  # the GUI's name -> value
    "enable_bucket": True, "min_bucket_reso": 256, "max_bucket_reso": 2048, "bucket_reso_steps": 64,
    "bucket_no_upscale": True, "cache_latents": True, "caption_extension": ".txt", "optimizer": "AdamW8bit",
    "mixed_precision": "fp16", "save_precision": "fp16", "save_model_as": "safetensors",
}
OF_PAGE = {  # script -> the same, of its page alone
    "train_network": {"network_dim": 8, "network_alpha": 1.0, "learning_rate": 1e-4, "unet_lr": 1e-4,
                      "lr_scheduler": "cosine"},
    "train_db": {"learning_rate": 1e-5, "lr_scheduler": "cosine"},
    "train_textual_inversion": {"learning_rate": 1e-5, "lr_scheduler": "cosine"},
}
WARM_UP = 10  # percent of all steps, on the pages that begin with another schedule than constant
INSTEAD = {  # settings that, present, make another one count for nothing
    "cache_latents": ("cache_latents_to_disk",), "lr_scheduler": ("lr_scheduler_type",)}


def absent(script: str, present: Container[str]) -> dict[str, Any]:
    """{the GUI's name: value} of what a page has that its file does not mention; present: the names that it does."""
    return {name: value for name, value in {**COMMON, **OF_PAGE.get(script, {})}.items()
            if not any(other in present for other in (name, *INSTEAD.get(name, ())))}
