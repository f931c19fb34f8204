"""transformers' text encoders in the sizes that the families have, as sd-scripts and diffusers build them."""

from typing import Any

SMALL = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
SIZES: dict[str, list[dict[str, int]]] = {
    "sd1": [SMALL],
    "sd2": [{"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16}],
    "sdxl": [SMALL, {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32,
                     "num_attention_heads": 20, "projection_dim": 1280}]}


def text_encoders(family: str) -> list[Any]:
    """One, or two for SDXL, of which the second has a projection."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    first, *second = (CLIPTextConfig(**size) for size in SIZES[family])
    return [CLIPTextModel(first), *(CLIPTextModelWithProjection(config) for config in second)]
